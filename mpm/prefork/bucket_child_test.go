package prefork

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// watchingChild is a child, in this process, that watches two listeners, the
// second of which is surplus. Its gate is open.
func watchingChild(t *testing.T) *Child {
	t.Helper()
	c := &Child{Options: new(mpm.Options)}
	for _, end := range []*sys.FD{&c.gate, &c.generation, &c.lifeline, &c.pod, &c.hurryPipe} {
		r, w, err := sys.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		*end = r
		t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	}
	for i := range 2 {
		fd, err := sys.Listen(netip.MustParseAddrPort("127.0.0.1:0"), 16, mpm.SocketOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = fd.Close() })
		c.listeners = append(c.listeners, childListener{fd: fd, name: "echo", surplus: i == 1})
	}
	if err := c.watch(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.epoll.Close() })
	if err := c.enter(); err != nil {
		t.Fatal(err)
	}
	return c
}

func dialListener(t *testing.T, l childListener) {
	t.Helper()
	addr, err := l.fd.LocalAddr()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
}

// A child accepts from a surplus socket as from its own, and when the master has
// closed that it goes on, and is not woken by it any more.
func TestAChildGoesOnWhenASurplusSocketIsClosed(t *testing.T) {
	c := watchingChild(t)
	next := func(want int) {
		t.Helper()
		dialListener(t, c.listeners[want])
		l, err := c.await()
		if err != nil || l != &c.listeners[want] {
			t.Fatalf("the child is woken for %v, %v", l, err)
		}
		_, fd, _, err := c.accept(l)
		if err != nil || fd == sys.None {
			t.Fatalf("accept: %d, %v", fd, err)
		}
		_ = fd.Close()
	}
	next(1)
	next(0)
	if err := c.listeners[1].fd.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if l, _, _, err := c.accept(&c.listeners[1]); l != nil || err != nil {
		t.Errorf("accept from a surplus socket that was closed: %v, %v", l, err)
	}
	next(0)
	events, err := c.epoll.Wait(nil, time.Millisecond)
	if err != nil || len(events) > 0 {
		t.Errorf("the closed socket still wakes the child: %v, %v", events, err)
	}
	next(0)
}

func TestAChildKnowsItsSurplusSockets(t *testing.T) {
	for _, b := range []bucketArgs{{0, 1, nil}, {1, 2, nil}, {2, 4, []int{0, 0, 1}}} {
		args := childArgs(3, 7, b)
		slot, generation, err := parseChildArgs(args)
		if err != nil || slot != 3 || generation != 7 {
			t.Errorf("%q: slot %d, generation %d, %v", args, slot, generation, err)
		}
		if got, err := parseSurplus(args, 2); err != nil || !slices.Equal(got, b.surplus) {
			t.Errorf("%q: surplus sockets %v, %v", args, got, err)
		}
	}
	for _, args := range [][]string{{"surplus"}, {"surplus", "0,2"}, {"surplus", "-1"}, {"surplus", "x"}, {"surplus", ""}} {
		if got, err := parseSurplus(args, 2); err == nil {
			t.Errorf("%q: surplus sockets %v", args, got)
		}
	}
}
