package prefork

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// conn is the child's one connection. It waits with poll(2) on the calling
// thread instead of going through the runtime's poller: there is one
// connection and nothing else to run, so registering it would only cost
// system calls and a goroutine switch for each message. From the first read on, and
// again when a peer that has paused is quick, read(2) itself waits before poll(2)
// does; see promptness. Only for a time in which two goroutines use the
// connection, polled does: poll(2) in one would stop the other, as there is one
// processor for both.
type conn struct {
	endpoint
	child *Child

	readDeadline, writeDeadline time.Time

	idle bool // between two requests
	dry  bool // the last read took all there was: the next one would find nothing yet

	prompt promptness

	duplex bool     // polled is in use
	polled *os.File // nil until then
}

var (
	_ mpm.Duplexer        = (*conn)(nil)
	_ mpm.RequestRecorder = (*conn)(nil)
	_ mpm.Parting         = (*conn)(nil)
)

func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.duplex {
		n, err := c.polled.Read(p)
		if c.ended = c.ended || err == io.EOF; err != nil && err != io.EOF {
			err = c.failed("read", err)
		}
		return n, err
	}
	for {
		if c.closed.Load() {
			return 0, net.ErrClosed
		}
		now := time.Now()
		if due(c.readDeadline, now) { // a peer that is always ready would outlive it
			return 0, c.fail("read", os.ErrDeadlineExceeded)
		}
		if (c.dry || c.prompt.blocks) && !c.readWaits(now) {
			if err := c.awaitRead(now); err != nil {
				return 0, err
			}
		}
		n, err := c.fd.ReadOnce(p)
		c.dry = n < len(p)
		switch {
		case errors.Is(err, syscall.EAGAIN):
			c.prompt.waits = 0
		case errors.Is(err, syscall.EINTR):
			c.prompt.waits = max(0, c.prompt.waits-1) // signals must not make this wait longer
		case err != nil:
			c.broken.Store(true)
			return 0, c.fail("read", err)
		case n == 0:
			c.ended = true
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// awaitRead waits for something to read. Between two requests the
// coming end of the generation is the end of the connection; within one it is not.
func (c *conn) awaitRead(now time.Time) error {
	var wake sys.Wake
	var err error
	if c.idle {
		wake, err = sys.WaitSocket(c.fd, sys.Readable, c.readDeadline, c.child.hurryPipe, c.child.lifeline)
	} else {
		wake, err = c.wait(sys.Readable, c.readDeadline)
	}
	switch {
	case err != nil:
		return c.fail("read", err)
	case wake == sys.WakeTimeout:
		return c.fail("read", os.ErrDeadlineExceeded)
	case wake == sys.WakePipe:
		return io.EOF
	}
	c.prompt.waited(now, time.Now())
	return nil
}

func (c *conn) Write(p []byte) (written int, err error) {
	if c.duplex {
		n, err := c.polled.Write(p)
		c.sent += int64(n)
		if err != nil {
			err = c.failed("write", err)
		}
		return n, err
	}
	for len(p) > 0 {
		if c.closed.Load() {
			return written, net.ErrClosed
		}
		if passed(c.writeDeadline) {
			return written, c.fail("write", os.ErrDeadlineExceeded)
		}
		n, err := c.fd.Send(p)
		if errors.Is(err, syscall.EAGAIN) {
			if err := c.awaitWrite(); err != nil {
				return written, err
			}
			continue
		}
		if err != nil {
			c.broken.Store(true)
			return written, c.fail("write", err)
		}
		written += n
		c.sent += int64(n)
		p = p[n:]
	}
	return written, nil
}

func (c *conn) awaitWrite() error {
	wake, err := c.wait(sys.Writable, c.writeDeadline)
	switch {
	case err != nil:
		return c.fail("write", err)
	case wake == sys.WakeTimeout:
		return c.fail("write", os.ErrDeadlineExceeded)
	}
	return nil
}

// passed reports whether a deadline is over. A peer that always has something
// ready would otherwise outlive it.
func passed(deadline time.Time) bool {
	return !deadline.IsZero() && !time.Now().Before(deadline)
}

// Duplex implements mpm.Duplexer.
func (c *conn) Duplex(on bool) error {
	if err := c.unblock(); err != nil {
		return err
	}
	if on && c.polled == nil {
		polled, err := c.fd.Polled()
		if err != nil {
			return err
		}
		c.polled = polled
	}
	c.LocalAddr() // so that errors of both goroutines find it
	c.readDeadline, c.writeDeadline = time.Time{}, time.Time{}
	c.duplex = on
	if on {
		return c.polled.SetDeadline(time.Time{})
	}
	return nil
}

// failed is what a failure of the polled file comes to.
func (c *conn) failed(op string, err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		c.broken.Store(true)
	}
	return c.fail(op, cause(err))
}

// retire also gives up the descriptor that the poller has.
func (c *conn) retire() (wasClosed bool) {
	if c.polled != nil {
		_ = c.polled.Close()
	}
	return c.endpoint.retire()
}

func (c *conn) SetDeadline(t time.Time) error {
	if c.duplex {
		return c.polled.SetDeadline(t)
	}
	c.readDeadline, c.writeDeadline = t, t
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	if c.duplex {
		return c.polled.SetReadDeadline(t)
	}
	c.readDeadline = t
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	if c.duplex {
		return c.polled.SetWriteDeadline(t)
	}
	c.writeDeadline = t
	return nil
}

func (c *conn) SetState(s mpm.State) {
	mustBeServing(s)
	c.idle = s == mpm.StateKeepalive
	c.thread.SetState(s)
}

func (c *conn) Stopping() bool { return c.child.told() }
