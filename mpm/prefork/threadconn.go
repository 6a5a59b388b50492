package prefork

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"sync/atomic"
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
	reads    atomic.Bool // it has begun to

	idle         bool      // between two requests; only the connection's goroutine sets it
	tired        time.Time // since when it was seen to idle; zero: it was not
	stays        bool      // it could not be parked, and is not until it has idled anew
	kept         any       // for the handler; nil: it is not to be parked, once it reads
	cut          bool      // a read ends at once, because the child is to leave or the connection to be parked
	readDeadline time.Time

	// Of the goroutine that has the connection: its own, or the child's main one
	// while it is parked.
	number int  // the number of its thread
	parks  bool // a read has returned mpm.ErrParked
	place  int  // among those that are parked, by deadline
}

var (
	_ mpm.Duplexer        = (*threadConn)(nil)
	_ mpm.RequestRecorder = (*threadConn)(nil)
	_ mpm.Parting         = (*threadConn)(nil)
	_ mpm.Parkable        = (*threadConn)(nil)
)

func (c *threadConn) Read(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	if !c.reads.Load() {
		c.reads.Store(true)
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

// lastRead takes what has come of a next request, though the child is to leave
// or the connection to be parked. If nothing has, that is what happens now.
func (c *threadConn) lastRead(p []byte) (int, error) {
	n, err := c.fd.Read(p)
	c.parks = errors.Is(err, syscall.EAGAIN) && !c.crew.hurried.Load()
	switch {
	case c.parks:
		return 0, mpm.ErrParked
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
	c.idle, c.tired, c.stays, c.parks = idle, time.Time{}, false, false
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

// rest interrupts the read of a connection that was found idle for long, unless its
// deadline is so near that to park it does not pay. It is called now and then, and
// reports whether it did, and whether it might the next time.
func (c *threadConn) rest(now time.Time, after time.Duration) (rested, mayRest bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.kept == nil:
		return false, !c.reads.Load()
	case !c.idle || c.cut || c.stays || c.closed.Load():
	case c.tired.IsZero():
		c.tired = now
	case now.Sub(c.tired) >= after && (c.readDeadline.IsZero() || c.readDeadline.Sub(now) >= 2*after):
		c.cutOff()
		return true, true
	}
	return false, true
}

// stay undoes rest, for a connection that cannot be parked.
func (c *threadConn) stay() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stays, c.parks = true, false
	if c.cut = c.crew.hurried.Load(); !c.cut {
		_ = c.file.SetReadDeadline(c.readDeadline)
	}
}

// Keep implements mpm.Parkable.
func (c *threadConn) Keep(value any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = value
}

// Kept implements mpm.Parkable.
func (c *threadConn) Kept() any { return c.kept }

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
