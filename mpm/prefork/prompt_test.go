package prefork

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// promptPair returns a child's connection whose reads wait by themselves, and its
// client, over TCP. The child's pipes are open.
func promptPair(t *testing.T) (c *conn, client *net.TCPConn, lifeline, hurry *pipe) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if client, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr)); err != nil {
		t.Fatal(err)
	}
	_ = client.SetDeadline(time.Now().Add(20 * time.Second)) // a test that hangs fails
	listener, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	lifeline, hurry = new(pipe), new(pipe)
	for _, p := range []*pipe{lifeline, hurry} {
		if p.r, p.w, err = sys.Pipe(); err != nil {
			t.Fatal(err)
		}
	}
	c = &conn{child: &Child{Options: new(mpm.Options), lent: true, lifeline: lifeline.r, hurryPipe: hurry.r}}
	flags, err := newFlags(c.child.Options)
	if err != nil {
		t.Fatal(err)
	}
	c.child.flags.Store(flags)
	_ = sys.FD(listener.Fd()).SetBlock()
	if c.fd, c.remote, err = sys.FD(listener.Fd()).Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Close()
		c.retire()
		_ = c.fd.Close()
		lifeline.close()
		hurry.close()
		_ = flags.Close()
	})
	makePrompt(t, c, client)
	return c, client, lifeline, hurry
}

// The kernel gives the time that a read may wait on to what a socket accepts, so that
// no call is needed for it. One that was handed over may not have it.
func TestConnectionsOfAnOwnSocketWaitFromTheirFirstRead(t *testing.T) {
	own, err := sys.Listen(netip.MustParseAddrPort("127.0.0.1:0"), 16, mpm.SocketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = own.Close() }()
	others, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = others.Close() }()
	file, err := others.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, tc := range []struct {
		name   string
		fd     sys.FD
		prompt bool
	}{{"own", own, true}, {"handed over", sys.FD(file.Fd()), false}} {
		t.Run(tc.name, func(t *testing.T) {
			l := childListener{fd: tc.fd}
			addr, err := tc.fd.LocalAddr()
			if err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				client, err := net.Dial("tcp", addr.String())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = client.Close() }()
				conn, _, err := l.accept()
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				if !l.probed {
					l.probe(conn)
				}
				began := time.Now()
				n, err := conn.ReadOnce(make([]byte, 1))
				if waited := time.Since(began) >= sys.PromptTime; !errors.Is(err, syscall.EAGAIN) || waited != (tc.prompt && i > 0) {
					t.Errorf("connection %d: a read of nothing: %d, %v; it waited: %t", i, n, err, waited)
				}
			}
			if l.prompt != tc.prompt {
				t.Errorf("found out: %t", l.prompt)
			}
		})
	}
}

func makePrompt(t *testing.T, c *conn, client io.Writer) {
	t.Helper()
	for tries := 0; !c.readWaits(time.Now()); tries++ {
		if tries == 1000 {
			t.Fatal("reads never wait by themselves, however quick the peer is")
		}
		send(t, client, "ping")
		if got, err := io.ReadAtLeast(c, make([]byte, 10), 4); got != 4 || err != nil {
			t.Fatalf("read %d, %v", got, err)
		}
	}
}

func send(t *testing.T, to io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(to, text); err != nil {
		t.Fatal(err)
	}
}

// read is a Read in another goroutine.
func read(c *conn) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 10))
		done <- err
	}()
	return done
}

func TestOnlyAQuickPeerMakesReadsWait(t *testing.T) {
	c, client := connPair(t)
	for range promptWaits { // the first read does not wait
		send(t, client, "ping")
		if _, err := c.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	if c.prompt.blocks {
		t.Errorf("reads wait after %d of a connection", promptWaits)
	}
	makePrompt(t, c, client)
	_ = c.SetReadDeadline(time.Now().Add(3 * sys.PromptTime))
	if _, err := c.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read of a peer that pauses: %v", err)
	}
	_ = c.SetReadDeadline(time.Time{})
	if c.readWaits(time.Now()) {
		t.Error("reads of a peer that has paused still wait by themselves")
	}
	makePrompt(t, c, client) // and it can be quick again
}

func TestAPromptReadEndsAtItsDeadlineAndNotBefore(t *testing.T) {
	const slack = 5 * time.Second // of a machine that is busy
	c, client, _, _ := promptPair(t)
	for _, d := range []time.Duration{time.Millisecond, sys.PromptTime, 2*sys.PromptTime + sys.PromptTime/2, 5 * sys.PromptTime} {
		makePrompt(t, c, client)
		deadline := time.Now().Add(d)
		_ = c.SetReadDeadline(deadline)
		_, err := c.Read(make([]byte, 10))
		late := time.Since(deadline)
		if !errors.Is(err, os.ErrDeadlineExceeded) || late < 0 || late > slack {
			t.Errorf("read with %v to go: %v, %v late", d, err, late)
		}
		_ = c.SetReadDeadline(time.Time{})
	}
}

// The socket's writes would wait, too, if they were write(2).
func TestAPromptConnectionWritesUntilTheDeadline(t *testing.T) {
	c, _, _, _ := promptPair(t)
	deadline := time.Now().Add(sys.PromptTime)
	_ = c.SetWriteDeadline(deadline)
	var err error
	for piece := make([]byte, 1<<20); err == nil; { // nobody reads
		_, err = c.Write(piece)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().Before(deadline) {
		t.Errorf("write to a peer that does not read: %v", err)
	}
}

func TestAPromptIdleConnectionEndsWithGenerationAndMaster(t *testing.T) {
	for name, end := range map[string]func(c *conn, lifeline, hurry *pipe){
		"generation": func(c *conn, _, hurry *pipe) {
			c.child.flags.Load().Set(0, true)
			hurry.closeWriter()
		},
		"master": func(_ *conn, lifeline, hurry *pipe) {
			hurry.closeWriter()
			lifeline.closeWriter()
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, _, lifeline, hurry := promptPair(t)
			c.idle = true
			done := read(c)
			end(c, lifeline, hurry)
			if err := <-done; err != io.EOF {
				t.Errorf("an idle connection ends with %v", err)
			}
		})
		t.Run(name+", with a request", func(t *testing.T) {
			c, client, lifeline, hurry := promptPair(t)
			c.idle = true
			send(t, client, "again")
			end(c, lifeline, hurry)
			if n, err := c.Read(make([]byte, 10)); n != 5 || err != nil {
				t.Errorf("what had come is read as %d, %v", n, err)
			}
			if _, err := c.Read(make([]byte, 10)); err != io.EOF {
				t.Errorf("the connection ends with %v", err)
			}
		})
	}
}

// A peer that always answers at once leaves no pause in which poll(2) is needed.
func TestAPeerWithoutAPauseDoesNotHideTheMastersDeath(t *testing.T) {
	c, client, lifeline, _ := promptPair(t)
	echoed := make(chan struct{})
	go func() {
		defer close(echoed)
		_, _ = io.Copy(client, client)
	}()
	lifeline.closeWriter()
	for until := time.Now().Add(20 * time.Second); !c.child.orphan; {
		if time.Now().After(until) {
			t.Fatal("the child does not know of it")
		}
		if _, err := c.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
	}
	if !c.Stopping() {
		t.Error("the connection is not told")
	}
	_ = c.Close()
	<-echoed
}

func TestCloseEndsAPromptReadAndAWrite(t *testing.T) {
	c, _, _, _ := promptPair(t)
	done := read(c)
	_ = c.Close()
	if err := <-done; err != io.EOF && !errors.Is(err, net.ErrClosed) {
		t.Errorf("a read that was ended: %v", err)
	}

	c, client, _, _ := promptPair(t)
	writes := make(chan error, 1)
	go func() {
		var err error
		for piece := make([]byte, 1<<20); err == nil; {
			_, err = c.Write(piece)
		}
		writes <- err
	}()
	if _, err := client.Read(make([]byte, 1)); err != nil { // it writes
		t.Fatal(err)
	}
	_ = c.Close()
	if err := <-writes; err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a write that was ended: %v", err)
	}
}

// The runtime's poller needs a socket that does not block.
func TestAPromptConnectionCanBeDuplex(t *testing.T) {
	c, client, _, _ := promptPair(t)
	if err := c.Duplex(true); err != nil {
		t.Fatal(err)
	}
	done := read(c)
	if err := c.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a read that was ended: %v", err)
	}
	if err := c.Duplex(false); err != nil {
		t.Fatal(err)
	}
	for range 3 * promptWaits {
		send(t, client, "ping")
		if _, err := c.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	if c.prompt.blocks {
		t.Error("reads wait in the kernel, while the poller has the socket")
	}
}

// What a peer still sends is thrown away without waiting for it.
func TestAPromptConnectionLingersBesideTheNext(t *testing.T) {
	c, client, _, _ := promptPair(t)
	epoll, err := sys.NewEpoll(1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = epoll.Close() }()
	c.child.linger.epoll = epoll
	c.child.finish(c)
	if len(c.child.linger.conns) != 1 {
		t.Fatalf("%d connections linger", len(c.child.linger.conns))
	}
	c.child.linger.drain(c.fd) // would wait here
	if len(c.child.linger.conns) != 1 {
		t.Error("the connection is closed, though its peer may still send")
	}
	if n, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the client reads %d, %v", n, err)
	}
	c.child.linger.drop(0)
	c.fd = sys.None
}
