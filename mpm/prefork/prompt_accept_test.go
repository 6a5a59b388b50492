package prefork

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// aloneWith is a child of this process that accepts from a listener, and the pipes
// that it watches.
func aloneWith(t *testing.T, listener sys.FD) (c *Child, lifeline, hurry *pipe) {
	t.Helper()
	var generation, gate pipe
	lifeline, hurry = new(pipe), new(pipe)
	var err error
	for _, p := range []*pipe{&generation, &gate, lifeline, hurry} {
		if p.r, p.w, err = sys.Pipe(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.close)
	}
	gate.closeWriter()
	board, err := scoreboard.New(0, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = board.Close() })
	c = &Child{
		Options: new(mpm.Options), board: board, clock: sys.NewClock(), pod: sys.None, lent: true,
		generation: generation.r, lifeline: lifeline.r, gate: gate.r, hurryPipe: hurry.r,
		listeners: []childListener{{fd: listener, name: "web"}},
	}
	flags, err := newFlags(c.Options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flags.Close() })
	c.flags.Store(flags)
	if err := c.watch(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.linger.finish(time.Now())
		if c.reserve != nil {
			_ = c.reserve.Close()
		}
		_ = c.epoll.Close()
	})
	return c, lifeline, hurry
}

func listenOn(t *testing.T, addr string) sys.FD {
	t.Helper()
	fd, err := sys.Listen(netip.MustParseAddrPort(addr), 16, mpm.SocketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fd.Close() })
	return fd
}

func dialTo(t *testing.T, listener sys.FD) net.Conn {
	t.Helper()
	addr, err := listener.LocalAddr()
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	_ = client.SetDeadline(time.Now().Add(2 * enough)) // a test that hangs fails
	return client
}

// Whatever socket accepts it, and whatever another child has done to that, which
// all have: the first read waits by itself, and for no longer than it may.
func TestEachConnectionsFirstReadWaitsAndHasAnEnd(t *testing.T) {
	own := func(addr string, receiveTimeout ...time.Duration) func(t *testing.T) sys.FD {
		return func(t *testing.T) sys.FD {
			if addr == "[::1]:0" {
				l, err := net.Listen("tcp6", addr)
				if err != nil {
					t.Skipf("this machine has no IPv6: %v", err)
				}
				_ = l.Close()
			}
			fd := listenOn(t, addr)
			for _, d := range receiveTimeout {
				if err := fd.LimitReads(d); err != nil {
					t.Fatal(err)
				}
			}
			return fd
		}
	}
	others := func(t *testing.T) sys.FD {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		file, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = l.Close(), file.Close() })
		fd := sys.FD(file.Fd())
		if err := fd.SetNonblock(); err != nil {
			t.Fatal(err)
		}
		return fd
	}
	local := func(t *testing.T) sys.FD {
		fd, err := sys.ListenUnix(filepath.Join(t.TempDir(), "s"), 0o600, 0, 16)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = fd.Close() })
		return fd
	}
	for name, listener := range map[string]func(t *testing.T) sys.FD{
		"IPv4": own("127.0.0.1:0"), "IPv6": own("[::1]:0"), "Unix": local, "handed over": others,
		"without end": own("127.0.0.1:0", 0), "for an hour": own("127.0.0.1:0", time.Hour),
	} {
		t.Run(name, func(t *testing.T) { firstReadWaits(t, listener(t)) })
	}
}

func firstReadWaits(t *testing.T, listener sys.FD) {
	c, _, _ := aloneWith(t, listener)
	const served = 2
	h := handlerFunc(func(mc mpm.Conn) {
		conn := mc.(*conn)
		now := time.Now()
		if !conn.readWaits(conn.prompt.looked) {
			t.Errorf("the first read is not to wait by itself: %+v", conn.prompt)
		}
		flags, err := unix.FcntlInt(uintptr(conn.fd), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("a read would not wait by itself: flags %#x, %v", flags, err)
		}
		limit, err := unix.GetsockoptTimeval(int(conn.fd), unix.SOL_SOCKET, unix.SO_RCVTIMEO)
		if d := time.Duration(limit.Nano()); err != nil || d < promptTime || d >= 2*promptTime { // in ticks
			t.Errorf("a read would wait for %s, %v", d, err)
		}
		if err := conn.SetReadDeadline(now.Add(5 * promptTime)); err != nil {
			t.Error(err)
		}
		if _, err := conn.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read of a peer that says nothing: %v", err)
		}
	})
	m, err := c.model(context.Background(), h)
	if err != nil {
		t.Fatal(err)
	}
	var clients closers
	for range served {
		clients = append(clients, dialTo(t, listener))
	}
	done := make(chan error, 1)
	go func() { done <- m.serve(served) }()
	if err := within(t, done, clients); err != nil || c.tally.served != served {
		t.Errorf("%d connections served, %v", c.tally.served, err)
	}
}

type handlerFunc func(mpm.Conn)

func (f handlerFunc) ServeConn(_ context.Context, c mpm.Conn) { f(c) }

type closers []io.Closer

func (all closers) Close() error {
	for _, c := range all {
		_ = c.Close()
	}
	return nil
}

// Where the kernel does not let them be bounded, reads do not wait.
func TestReadsWithoutABoundDoNotWait(t *testing.T) {
	r, w, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	_ = r.SetBlock()
	c := &conn{child: &Child{}}
	c.fd = r // which is no socket
	if err := c.begin(time.Now()); err != nil || c.prompt.blocks {
		t.Errorf("reads are to wait, %v", err)
	}
	if flags, err := unix.FcntlInt(uintptr(r), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("reads would wait: flags %#x, %v", flags, err)
	}
}
