package prefork

import (
	"errors"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// shortages are what a child does to itself before it serves, by greeting.
var shortages = map[string]func(){
	"brief":          func() { limitDescriptors(4) }, // an epoll set, a connection, and little else
	"hungry":         func() { limitDescriptors(1); time.AfterFunc(500*time.Millisecond, freeDescriptors) },
	"no descriptors": func() { limitDescriptors(0) },
}

// limitDescriptors lets this process have so many more than it has.
func limitDescriptors(more uint64) {
	lowest, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_ = unix.Close(lowest)
	var limit unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	limit.Cur = uint64(lowest) + more
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}

func freeDescriptors() {
	var limit unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	limit.Cur = limit.Max
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}

func oneChild(greeting string) func(*testConfig) {
	return func(c *testConfig) {
		o := &c.Options
		c.Greeting = greeting
		o.StartServers, o.MinSpareServers, o.MaxSpareServers, o.MaxRequestWorkers = 1, 1, 2, 1
	}
}

// Connections whose clients do not close them take descriptors that the next
// client needs.
func TestAChildMakesRoomForTheNextConnection(t *testing.T) {
	s := startServer(t, oneChild("brief"))
	pids := make(map[int]bool)
	for range 30 {
		conn, _, pid, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		pids[pid] = true
	}
	if len(pids) != 1 {
		t.Errorf("%d children served 30 connections, want the one", len(pids))
	}
}

// There is no descriptor for a connection, and then there is.
func TestAChildWithoutDescriptorsWaitsForThem(t *testing.T) {
	s := startServer(t, oneChild("hungry"))
	child := ownChildren(t)
	for range 5 {
		conn, _, pid, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		if len(child) != 1 || child[0] != strconv.Itoa(pid) {
			t.Errorf("child %d served, want the first one, %v", pid, child)
		}
	}
}

func TestAChildThatWaitsInVainLeaves(t *testing.T) {
	r, w, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	c := &Child{lifeline: r, generation: r}
	l := &childListener{name: "web"}
	now := time.Now()
	if err := c.starve(l, syscall.EMFILE, now); err != nil {
		t.Fatalf("it does not wait at all: %v", err)
	}
	err = c.starve(l, syscall.EMFILE, now.Add(starveTime))
	if !errors.Is(err, ErrSick) || !errors.Is(err, syscall.EMFILE) || !strings.Contains(err.Error(), "web") {
		t.Errorf("after %s: %v", starveTime, err)
	}
}

// Its generation may end meanwhile.
func TestAStarvingChildHearsOfTheEnd(t *testing.T) {
	r, w, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	c := &Child{lifeline: r, generation: r}
	_ = w.Close()
	begun := time.Now()
	if err := c.starve(new(childListener), syscall.ENFILE, begun.Add(time.Hour)); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestAChildWithoutAPollSetIsShortOfAResource(t *testing.T) {
	s := startServer(t, nil)
	s.cfg.Greeting = "no descriptors"
	s.write()
	if r := s.ask(Reload); len(r.Errors) != 1 || !strings.Contains(r.Errors[0], ErrSick.Error()) {
		t.Errorf("reload: %+v", r)
	}
}

func TestAFailedWaitIsALackOfSomething(t *testing.T) {
	epoll, err := sys.NewEpoll(1)
	if err != nil {
		t.Fatal(err)
	}
	_ = epoll.Close()
	if _, err := (&Child{epoll: epoll}).await(); !errors.Is(err, ErrSick) {
		t.Errorf("await: %v", err)
	}
}
