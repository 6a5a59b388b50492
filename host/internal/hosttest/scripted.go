package hosttest

import (
	"io"
	"net"
	"time"

	"github.com/apphost/apphost/mpm"
)

// Scripted is a connection whose peer sends the same piece N times, one for each
// read, and takes any answer. It costs nothing, so that what is measured over it is
// what its handler costs.
type Scripted struct {
	Piece string
	N     int
	Name  string // of the listener
}

var (
	_ mpm.Conn            = (*Scripted)(nil)
	_ mpm.RequestRecorder = (*Scripted)(nil)
	_ mpm.Watched         = (*Scripted)(nil)
)

func (c *Scripted) Read(p []byte) (int, error) {
	if c.N == 0 {
		return 0, io.EOF
	}
	c.N--
	return copy(p, c.Piece), nil
}

func (c *Scripted) Write(p []byte) (int, error)      { return len(p), nil }
func (c *Scripted) Close() error                     { return nil }
func (c *Scripted) CloseWrite() error                { return nil }
func (c *Scripted) SetDeadline(time.Time) error      { return nil }
func (c *Scripted) SetReadDeadline(time.Time) error  { return nil }
func (c *Scripted) SetWriteDeadline(time.Time) error { return nil }
func (c *Scripted) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *Scripted) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *Scripted) ID() uint64                       { return 1 }
func (c *Scripted) Listener() string                 { return c.Name }
func (c *Scripted) SetState(mpm.State)               {}
func (c *Scripted) Stopping() bool                   { return false }

// BeginRequest and the others do what a model does that wants to know nothing.
func (c *Scripted) BeginRequest(_, _, _ []byte) {}

// EndRequest is described at BeginRequest.
func (c *Scripted) EndRequest(int64) {}

// Run is described at BeginRequest.
func (c *Scripted) Run(string, time.Duration) {}

// Call is described at BeginRequest.
func (c *Scripted) Call(string) {}

// Pause is described at BeginRequest.
func (c *Scripted) Pause() {}

// Resume is described at BeginRequest.
func (c *Scripted) Resume() {}

// Continue is described at BeginRequest.
func (c *Scripted) Continue() {}
