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
// system calls and a goroutine switch for each message.
type conn struct {
	endpoint
	child *Child

	readDeadline, writeDeadline time.Time

	idle bool // between two requests
}

var (
	_ mpm.Conn            = (*conn)(nil)
	_ mpm.RequestRecorder = (*conn)(nil)
)

func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if c.closed.Load() {
			return 0, net.ErrClosed
		}
		if passed(c.readDeadline) {
			return 0, c.fail("read", os.ErrDeadlineExceeded)
		}
		n, err := c.fd.Read(p)
		switch {
		case errors.Is(err, syscall.EAGAIN):
			if err := c.awaitRead(); err != nil {
				return 0, err
			}
		case err != nil:
			c.broken = true
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
func (c *conn) awaitRead() error {
	var wake sys.Wake
	var err error
	if c.idle {
		wake, err = sys.WaitSocket(c.fd, sys.Readable, c.readDeadline, c.child.hurryPipe, c.child.lifeline)
	} else {
		wake, err = sys.WaitSocket(c.fd, sys.Readable, c.readDeadline)
	}
	switch {
	case err != nil:
		return c.fail("read", err)
	case wake == sys.WakeTimeout:
		return c.fail("read", os.ErrDeadlineExceeded)
	case wake == sys.WakePipe:
		return io.EOF
	}
	return nil
}

func (c *conn) Write(p []byte) (written int, err error) {
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
			c.broken = true
			return written, c.fail("write", err)
		}
		written += n
		c.sent += int64(n)
		p = p[n:]
	}
	return written, nil
}

func (c *conn) awaitWrite() error {
	wake, err := sys.WaitSocket(c.fd, sys.Writable, c.writeDeadline)
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

func (c *conn) SetDeadline(t time.Time) error {
	c.readDeadline, c.writeDeadline = t, t
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.readDeadline = t
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.writeDeadline = t
	return nil
}

func (c *conn) SetState(s mpm.State) {
	mustBeServing(s)
	c.idle = s == mpm.StateKeepalive
	c.thread.SetState(s)
}

func (c *conn) Stopping() bool { return c.child.stopping() }
