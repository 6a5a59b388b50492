package prefork

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// A client that still sends when its connection is closed must get all of the
// response, and no reset in place of its end.
func TestAClientThatStillSendsGetsTheWholeResponse(t *testing.T) {
	s := startServer(t, func(c *testConfig) { c.Greeting = "lecture" })
	for range 20 {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for range 64 {
				if _, err := conn.Write(make([]byte, 4096)); err != nil {
					t.Errorf("send: %v", err)
					return
				}
			}
		}()
		<-sent
		got, err := io.Copy(io.Discard, conn)
		if err != nil || got != lectureBytes {
			t.Fatalf("received %d bytes, %v; want %d", got, err, lectureBytes)
		}
		_ = conn.Close()
	}
}

// One child, a port that is never quiet and one that mostly is: both are
// served.
func TestABusyListenerStarvesNoOther(t *testing.T) {
	s := startServer(t, func(c *testConfig) {
		c.Options.Listeners = append(c.Options.Listeners, mpm.Listener{Name: "quiet", Address: "127.0.0.1:0", Backlog: 16})
		c.Options.StartServers, c.Options.MinSpareServers, c.Options.MaxSpareServers, c.Options.MaxRequestWorkers = 1, 1, 2, 1
	})
	stop, clients := s.clients(8, "")
	quiet := *s
	quiet.addr = s.sockets[1].Address.String()
	for range 50 {
		if err := quiet.ping(""); err != nil {
			t.Fatalf("the quiet listener: %v", err)
		}
	}
	close(stop)
	clients.Wait()
}

// Idle children above the maximum leave one by one, and nobody notices.
func TestIdleChildrenAreRetiredByThePod(t *testing.T) {
	s := startServer(t, func(c *testConfig) {
		c.Options.StartServers, c.Options.MinSpareServers, c.Options.MaxSpareServers = 6, 1, 3
	})
	stop, clients := s.clients(1, "one")
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := len(ownChildren(t)); n > 4; n = len(ownChildren(t)) { // 3 idle, 1 that serves
		select {
		case <-deadline:
			t.Fatalf("%d children after 20 s, want 4", n)
		case <-tick.C:
		}
	}
	close(stop)
	clients.Wait()
}

// The child that the kernel had woken for a connection has died, so that none
// hears of it. Another one is made to look by a byte in the pod.
func TestAChildLooksWhenItIsTold(t *testing.T) {
	r, w, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	epoll, err := sys.NewEpoll(1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = epoll.Close() }()
	if err := epoll.Add(r, true); err != nil {
		t.Fatal(err)
	}
	c := &Child{
		epoll: epoll, pod: r, open: true, generation: sys.None, lifeline: sys.None, gate: sys.None,
		listeners: []childListener{{name: "web"}},
	}
	for said, want := range map[byte]bool{podLook: true, podLeave: false} {
		if _, err := w.Write([]byte{said}); err != nil {
			t.Fatal(err)
		}
		if l, err := c.await(); err != nil || (l != nil) != want {
			t.Errorf("%q: it looks: %v, %v; want %v", said, l != nil, err, want)
		}
	}
}

// ownChildren are the pids of this process's children. Each of its threads
// lists those that it has started.
func ownChildren(t *testing.T) []string {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", os.Getpid()))
	if err != nil || len(threads) == 0 {
		t.Skipf("the kernel does not list children: %v", err)
	}
	var pids []string
	for _, thread := range threads {
		raw, _ := os.ReadFile(thread) // a thread may end
		pids = append(pids, strings.Fields(string(raw))...)
	}
	return pids
}

// A child that hangs, here because it was stopped, does not hold up a stop.
func TestAStoppedChildIsKilledInTime(t *testing.T) {
	s := startServer(t, func(c *testConfig) { c.Options.KillTimeout = 200 * time.Millisecond })
	conn, _, pid, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	s.stop()
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the stop took %s", took)
	}
}

func TestOnlyALackOfSomethingEndsAChildThatAccepts(t *testing.T) {
	for err, ends := range map[error]bool{
		syscall.EAGAIN: false, syscall.ECONNABORTED: false, syscall.EPERM: false, syscall.ENETDOWN: false,
		syscall.EMFILE: true, syscall.ENFILE: true, syscall.ENOMEM: true, syscall.EBADF: true,
	} {
		got := acceptFailure(fmt.Errorf("accept: %w", err))
		if (got != nil) != ends || (ends && !errors.Is(got, ErrSick)) {
			t.Errorf("%v: %v", err, got)
		}
	}
}
