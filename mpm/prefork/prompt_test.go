package prefork

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// enough is what a busy machine takes where nothing is waited for.
const enough = 15 * time.Second

// promptPair returns a child's connection whose reads wait by themselves, and its
// client, over TCP. The child's pipes are open.
func promptPair(t *testing.T) (c *conn, client net.Conn, lifeline, hurry *pipe) {
	t.Helper()
	listener := listenOn(t, "127.0.0.1:0")
	child, lifeline, hurry := aloneWith(t, listener)
	client = dialTo(t, listener)
	if _, err := sys.WaitSocket(listener, sys.Readable, time.Now().Add(enough)); err != nil {
		t.Fatal(err)
	}
	c = &conn{child: child}
	var err error
	if _, c.fd, c.remote, err = child.accept(&child.listeners[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Close()
		c.retire()
		_ = c.fd.Close()
	})
	if err := c.begin(time.Now()); err != nil {
		t.Fatal(err)
	}
	return c, client, lifeline, hurry
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

// within is what comes, in good time; else the peer's leaving puts an end to it.
func within[T any](t *testing.T, done <-chan T, peer io.Closer) T {
	t.Helper()
	select {
	case got := <-done:
		return got
	case <-time.After(enough):
		t.Errorf("it waits still, after %s", enough)
		_ = peer.Close()
		return <-done
	}
}

func TestAPromptReadEndsAtItsDeadlineAndNotBefore(t *testing.T) {
	c, client, _, _ := promptPair(t)
	for _, d := range []time.Duration{time.Millisecond, promptTime, 2 * promptTime, 2*promptTime + promptTime/2, 5 * promptTime} {
		if err := c.begin(time.Now()); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(d)
		_ = c.SetReadDeadline(deadline)
		if err := within(t, read(c), client); !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().Before(deadline) {
			t.Errorf("read with %v to go: %v, %v late", d, err, time.Since(deadline))
		}
	}
}

// The socket's writes would wait, too, if they were write(2).
func TestAPromptConnectionWritesUntilTheDeadline(t *testing.T) {
	c, _, _, _ := promptPair(t)
	deadline := time.Now().Add(promptTime)
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
			c, client, lifeline, hurry := promptPair(t)
			c.idle = true
			done := read(c)
			end(c, lifeline, hurry)
			if err := within(t, done, client); err != io.EOF {
				t.Errorf("an idle connection ends with %v", err)
			}
		})
		t.Run(name+", with a request", func(t *testing.T) {
			c, client, lifeline, hurry := promptPair(t)
			c.idle = true
			send(t, client, "again")
			if _, err := sys.WaitSocket(c.fd, sys.Readable, time.Now().Add(enough)); err != nil {
				t.Fatal(err)
			}
			end(c, lifeline, hurry)
			if n, err := c.Read(make([]byte, 10)); n != 5 || err != nil {
				t.Errorf("what had come is read as %d, %v", n, err)
			}
			if err := within(t, read(c), client); err != io.EOF {
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
	for until := time.Now().Add(enough); !c.child.orphan; {
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
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.child.finish(c)          // reads what is there,
		c.child.linger.drain(c.fd) // and so does this
	}()
	within(t, done, client)
	if len(c.child.linger.conns) != 1 {
		t.Fatalf("%d connections linger, whose peers may still send; want 1", len(c.child.linger.conns))
	}
	if n, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the client reads %d, %v", n, err)
	}
	c.child.linger.drop(0)
	c.fd = sys.None
}
