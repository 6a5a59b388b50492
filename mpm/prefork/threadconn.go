package prefork

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
)

// threadConn is a connection of the worker model. It waits in the Go runtime's
// poller, by way of an os.File: net.FileConn would duplicate the descriptor and
// ask the kernel for what is known already.
type threadConn struct {
	endpoint // whose mu guards the fields below, too
	crew     *crew
	file     *os.File

	idle         bool // between two requests; only the connection's goroutine sets it
	cut          bool // a read ends at once, because the child is to leave
	readDeadline time.Time
}

var (
	_ mpm.Duplexer        = (*threadConn)(nil)
	_ mpm.RequestRecorder = (*threadConn)(nil)
	_ mpm.Parting         = (*threadConn)(nil)
)

func (c *threadConn) Read(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	n, err := c.file.Read(p)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		c.ended = true
		return 0, io.EOF
	case !errors.Is(err, os.ErrDeadlineExceeded):
		c.broken.Store(true)
		return 0, c.fail("read", cause(err))
	case c.idle && c.isCut():
		return c.lastRead(p)
	}
	return 0, c.fail("read", os.ErrDeadlineExceeded)
}

// lastRead takes what has come of a next request, though the child is to leave;
// if nothing has, this is the end.
func (c *threadConn) lastRead(p []byte) (int, error) {
	n, err := c.fd.Read(p)
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return 0, io.EOF
	case err != nil:
		c.broken.Store(true)
		return 0, c.fail("read", err)
	case n == 0 && len(p) > 0:
		c.ended = true
		return 0, io.EOF
	}
	return n, nil
}

func (c *threadConn) Write(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	n, err := c.file.Write(p)
	c.sent += int64(n)
	if err == nil {
		return n, nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return n, c.fail("write", os.ErrDeadlineExceeded)
	}
	c.broken.Store(true)
	return n, c.fail("write", cause(err))
}

// cause is an error of a file without the name of one.
func cause(err error) error {
	var of *fs.PathError
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

func (c *threadConn) SetState(s mpm.State) {
	mustBeServing(s)
	if idle := s == mpm.StateKeepalive; idle != c.idle {
		c.setIdle(idle)
	}
	c.thread.SetState(s)
}

// setIdle changes whether the end of the child is the end of a read. Either it
// sees that the child is hurried, or interrupt sees that the connection is
// idle.
func (c *threadConn) setIdle(idle bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = idle
	switch {
	case idle && c.crew.hurried.Load():
		c.cutOff()
	case !idle && c.cut:
		c.cut = false
		_ = c.file.SetReadDeadline(c.readDeadline)
	}
}

// interrupt ends a read that waits for the next request.
func (c *threadConn) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle {
		c.cutOff()
	}
}

// cutOff makes reads return at once.
func (c *threadConn) cutOff() {
	c.cut = true
	_ = c.file.SetReadDeadline(time.Unix(1, 0))
}

func (c *threadConn) isCut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut
}

// Duplex implements mpm.Duplexer: the file can be read and written at a time.
func (c *threadConn) Duplex(bool) error {
	c.LocalAddr() // so that errors of both goroutines find it
	return c.SetDeadline(time.Time{})
}

func (c *threadConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *threadConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readDeadline = t
	if c.cut {
		return nil
	}
	return c.file.SetReadDeadline(t)
}

func (c *threadConn) SetWriteDeadline(t time.Time) error { return c.file.SetWriteDeadline(t) }

func (c *threadConn) Stopping() bool { return c.crew.hurried.Load() }

// linger throws away what the peer still sends, until it closes or its time is
// up, and closes the connection.
func (c *threadConn) linger() {
	defer func() { _ = c.file.Close() }()
	var scratch [2048]byte
	deadline := time.Now().Add(lingerTotal)
	for {
		if err := c.file.SetReadDeadline(minTime(time.Now().Add(lingerIdle), deadline)); err != nil {
			return
		}
		if _, err := c.file.Read(scratch[:]); err != nil {
			return
		}
	}
}
