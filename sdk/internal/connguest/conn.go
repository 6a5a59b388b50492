package connguest

import (
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/apphost/apphost/sdk/abi"
)

// Conn is the instance's connection. The host's calls block the whole guest,
// so its methods never run at the same time as another goroutine.
type Conn struct {
	closed      atomic.Bool
	onClose     func() // nil, or called by the first Close
	read, write side
}

// side is one direction's deadline.
type side struct {
	which    uint32 // abi.TimeoutRead or abi.TimeoutWrite
	deadline time.Time
	limited  bool // the host has a timeout of ours, not its default
}

// NewConn returns the connection of this instance.
func NewConn() *Conn {
	return &Conn{read: side{which: abi.TimeoutRead}, write: side{which: abi.TimeoutWrite}}
}

// arm turns the deadline, a point in time, into the host's timeout, which
// counts from each call. It costs a call only where there is a deadline, or
// was one before.
func (s *side) arm() error {
	if s.deadline.IsZero() {
		if !s.limited {
			return nil
		}
		s.limited = false
		return setTimeout(s.which, 0)
	}
	left := time.Until(s.deadline)
	if left <= 0 {
		return os.ErrDeadlineExceeded
	}
	s.limited = true
	// Rounded up: 0 would mean the listener's default.
	ms := (left + time.Millisecond - 1) / time.Millisecond
	return setTimeout(s.which, uint32(min(ms, math.MaxInt32)))
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, c.fault("read", net.ErrClosed)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if err := c.read.arm(); err != nil {
		return 0, c.fault("read", err)
	}
	n, err := read(p)
	if err != nil {
		return 0, c.fault("read", err)
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Write implements net.Conn. After an error an unknown part of p was sent,
// though the count returned is 0.
func (c *Conn) Write(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, c.fault("write", net.ErrClosed)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if err := c.write.arm(); err != nil {
		return 0, c.fault("write", err)
	}
	if err := write(p); err != nil {
		return 0, c.fault("write", err)
	}
	return len(p), nil
}

// Close ends the connection for the handler: the client sees the end of the
// stream. The host closes the socket itself once the handler returns.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.fault("close", net.ErrClosed)
	}
	// That the client is gone already is no failure to close.
	_ = shutdownWrite()
	if c.onClose != nil {
		c.onClose()
	}
	return nil
}

// CloseWrite tells the client that nothing more will be written. Reading goes
// on.
func (c *Conn) CloseWrite() error {
	if c.closed.Load() {
		return c.fault("close", net.ErrClosed)
	}
	if err := shutdownWrite(); err != nil {
		return c.fault("close", err)
	}
	return nil
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return addr(Info(abi.InfoLocalAddr)) }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return addr(Info(abi.InfoPeerAddr)) }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	c.read.deadline, c.write.deadline = t, t
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.read.deadline = t
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.write.deadline = t
	return nil
}

// fault names the operation and the client. It keeps the cause in reach of
// errors.Is.
func (c *Conn) fault(op string, cause error) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: c.RemoteAddr(), Err: cause}
}

// addr is the address that the host wrote as HOST:PORT; the zero address if
// it wrote none.
func addr(hostPort string) net.Addr {
	a, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return new(net.TCPAddr)
	}
	return net.TCPAddrFromAddrPort(a)
}
