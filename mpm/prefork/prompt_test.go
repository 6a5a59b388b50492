package prefork

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

const (
	// noEnd is how long reads of a socket wait in a test that is to find out whether
	// they do, and enough is what a busy machine takes where they do not.
	noEnd  = time.Minute
	enough = 15 * time.Second
)

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

// waitLong makes a read that waits by itself wait for noEnd.
func waitLong(t *testing.T, c *conn) {
	t.Helper()
	if err := c.fd.LimitReads(noEnd); err != nil {
		t.Fatal(err)
	}
	c.prompt = promptness{waits: promptWaits, looked: time.Now(), blocks: true}
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

func TestWhenAReadIsToWaitByItself(t *testing.T) {
	now := time.Now()
	for name, tc := range map[string]struct {
		change func(c *conn)
		waits  bool
	}{
		"a quick peer":         {func(*conn) {}, true},
		"a socket of poll(2)":  {func(c *conn) { c.prompt.blocks = false }, false},
		"after a pause":        {func(c *conn) { c.prompt.waits-- }, false},
		"an old look":          {func(c *conn) { c.prompt.looked = now.Add(-promptLook + 1) }, true},
		"a look that is due":   {func(c *conn) { c.prompt.looked = now.Add(-promptLook) }, false},
		"a deadline":           {func(c *conn) { c.readDeadline = now.Add(2*promptTime + 1) }, true},
		"a near deadline":      {func(c *conn) { c.readDeadline = now.Add(2 * promptTime) }, false},
		"idle":                 {func(c *conn) { c.idle = true }, true},
		"the generation's end": {func(c *conn) { c.child.flags.Load().Set(0, true) }, true},
		"idle at its end":      {func(c *conn) { c.idle = true; c.child.flags.Load().Set(0, true) }, false},
		"the master's end":     {func(c *conn) { c.child.orphan = true }, true},
		"idle at that":         {func(c *conn) { c.idle, c.child.orphan = true, true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := &conn{child: &Child{Options: new(mpm.Options)}, prompt: promptness{waits: promptWaits, looked: now, blocks: true}}
			flags, err := newFlags(c.child.Options)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = flags.Close() }()
			c.child.flags.Store(flags)
			tc.change(c)
			if got := c.readWaits(now); got != tc.waits {
				t.Errorf("the next read waits by itself: %t", got)
			}
		})
	}
}

func TestAPeerThatPausesHasToBeQuickAgain(t *testing.T) {
	began := time.Now()
	p := promptness{waits: promptWaits, blocks: true}
	p.waited(began, began.Add(promptTime))
	for i := range promptWaits {
		if p.waits == promptWaits {
			t.Errorf("it counts as quick after %d short waits", i)
		}
		began = began.Add(time.Second)
		p.waited(began, began.Add(promptTime-1))
	}
	if p.waits != promptWaits || !p.looked.Equal(began) {
		t.Errorf("after %d short waits: %+v", promptWaits, p)
	}
	if p.waited(began, began); p.waits != promptWaits {
		t.Errorf("after one more: %+v", p)
	}
}

// The read itself, not poll(2), finds that a peer has paused. Then poll(2) finds the
// end of the pipe.
func TestAReadThatWaitsInVainEndsThat(t *testing.T) {
	c, client, _, hurry := promptPair(t)
	c.idle, c.prompt.looked = true, time.Now().Add(time.Hour)
	hurry.closeWriter()
	if err := within(t, read(c), client); err != io.EOF {
		t.Fatalf("read of a peer that pauses: %v", err)
	}
	if c.prompt.waits != 0 || !c.prompt.blocks {
		t.Errorf("after a pause: %+v", c.prompt)
	}
}

// No call is made beside the read of a quick peer, and one to look now and then.
func TestAReadOfAQuickPeerLooksOnlyWhenThatIsDue(t *testing.T) {
	c, client, _, _ := promptPair(t)
	waitLong(t, c)
	for name, looked := range map[string]time.Time{"not due": time.Now().Add(time.Hour), "due": time.Now().Add(-promptLook)} {
		c.prompt.looked, c.prompt.waits = looked, promptWaits
		send(t, client, "ping")
		if n, err := c.Read(make([]byte, 10)); n != 4 || err != nil {
			t.Fatalf("read %d, %v", n, err)
		}
		if called := !c.prompt.looked.Equal(looked); called != (name == "due") {
			t.Errorf("a look is %s: poll(2) was called: %t", name, called)
		}
	}
}

func TestAPromptReadEndsAtItsDeadlineAndNotBefore(t *testing.T) {
	c, client, _, _ := promptPair(t)
	for d, long := range map[time.Duration]bool{
		time.Millisecond: true, promptTime: true, 2 * promptTime: true, // too near for a read that waits
		2*promptTime + promptTime/2: false, 5 * promptTime: false,
	} {
		if waitLong(t, c); !long {
			if err := c.begin(time.Now()); err != nil {
				t.Fatal(err)
			}
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
			if name == "generation" { // which the child knows of without a look
				waitLong(t, c)
			}
			if err := within(t, read(c), client); err != io.EOF {
				t.Errorf("the connection ends with %v", err)
			}
		})
	}
}

// A peer that always answers at once leaves no pause in which poll(2) is needed.
// Here no read ever finds that it pauses, however busy the machine is.
func TestAPeerWithoutAPauseDoesNotHideTheMastersDeath(t *testing.T) {
	c, client, lifeline, _ := promptPair(t)
	waitLong(t, c)
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
	waitLong(t, c)
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
