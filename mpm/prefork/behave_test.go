package prefork

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// What a terminal sends to all its processes, and what an operator may try, is
// the master's to act on; SIGTERM is how the master itself ends a child.
func TestAChildIgnoresAllSignalsButTheLast(t *testing.T) {
	s := startServer(t, nil)
	conn, _, pid, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	roundTrip := func() error {
		_, _ = conn.Write([]byte("x"))
		_, err := io.ReadFull(conn, make([]byte, 1))
		return err
	}
	for _, sig := range []unix.Signal{
		unix.SIGINT, unix.SIGQUIT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH, unix.SIGPIPE, unix.SIGURG,
	} {
		if err := unix.Kill(pid, sig); err != nil {
			t.Fatal(err)
		}
		if err := roundTrip(); err != nil {
			t.Fatalf("the connection after %s to its child: %v", unix.SignalName(sig), err)
		}
	}
	if err := unix.Kill(pid, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := roundTrip(); err == nil {
		t.Error("a child went on after SIGTERM")
	}
	if err := s.ping("one"); err != nil {
		t.Errorf("after the child's end: %v", err)
	}
}

func TestAChildThatCannotWatchIsSick(t *testing.T) {
	s := startServer(t, nil)
	s.cfg.Greeting = "no descriptor for epoll"
	s.write()
	r := s.ask(Reload)
	if len(r.Errors) == 0 || !strings.Contains(r.Errors[0], ErrSick.Error()) || !strings.Contains(r.Errors[0], "make epoll: too many open files") {
		t.Errorf("reload: %+v", r)
	}
}

// A wait that fails is a lack of something, too.
func TestAChildWhoseWaitFailsIsSick(t *testing.T) {
	epoll, err := sys.NewEpoll(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := epoll.Close(); err != nil {
		t.Fatal(err)
	}
	c := &Child{epoll: epoll}
	if _, err := c.await(); !errors.Is(err, ErrSick) {
		t.Errorf("await: %v, want %v", err, ErrSick)
	}
}

// The kernel wakes one child for a connection. If that one cannot take it and
// leaves, it must not wait until the next connection wakes another.
func TestAConnectionOutlivesTheChildItWoke(t *testing.T) {
	s := startServer(t, func(c *testConfig) {
		c.Greeting = "starved-but-one"
		c.Options.StartServers, c.Options.MinSpareServers = 5, 1
	})
	pace := time.NewTicker(20 * time.Millisecond) // so that all sleep again
	defer pace.Stop()
	for range 20 {
		<-pace.C
		begun := time.Now()
		if err := s.ping(""); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Fatalf("a connection waited for %s", took)
		}
	}
}

// Children that started together are not to leave together.
func TestTheShareOfAChildIsLessByUpToATenth(t *testing.T) {
	seen := make(map[uint64]bool)
	for range 1000 {
		c := &Child{Options: &mpm.Options{MaxConnectionsPerChild: 100}}
		n := c.share()
		if n < 90 || n > 100 {
			t.Fatalf("the share is %d, want 90 to 100", n)
		}
		seen[n] = true
	}
	if len(seen) < 5 {
		t.Errorf("a thousand children have shares %v", seen)
	}
	for _, exact := range []int{0, 1, 9} {
		c := &Child{Options: &mpm.Options{MaxConnectionsPerChild: exact}}
		if n := c.share(); n != uint64(exact) {
			t.Errorf("the share is %d, want %d", n, exact)
		}
	}
}

// A listener is shared with whoever handed it over, who may make it block; a
// child that waited in accept would hear of nothing else.
func TestListenersDoNotBlockInChildren(t *testing.T) {
	s := startServer(t, nil)
	listener := ownListener(t, s.addr)
	if err := listener.SetBlock(); err != nil {
		t.Fatal(err)
	}
	if r := s.ask(Reload); len(r.Errors) > 0 {
		t.Fatalf("reload: %+v", r)
	}
	if flags, err := unix.FcntlInt(uintptr(listener), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("the listener blocks in the new children: flags %#x, %v", flags, err)
	}
}

// ownListener is this process's descriptor of the socket that listens on addr.
func ownListener(t *testing.T, addr string) sys.FD {
	t.Helper()
	for fd := sys.FD(3); fd < 1024; fd++ {
		if !fd.IsListener() {
			continue
		}
		if local, err := fd.LocalAddr(); err == nil && local.String() == addr {
			return fd
		}
	}
	t.Fatalf("no socket listens on %s", addr)
	return sys.None
}
