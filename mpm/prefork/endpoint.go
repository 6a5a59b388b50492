package prefork

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// endpoint is what the connections of all models have in common.
type endpoint struct {
	fd       sys.FD
	id       uint64
	listener string
	remote   net.Addr
	local    net.Addr

	thread *scoreboard.Thread
	clock  sys.Clock
	sent   int64

	ended  bool        // the peer has sent all it will
	broken atomic.Bool // a read or write failed

	mu     sync.Mutex // so that Close never meets another connection's descriptor
	closed atomic.Bool
}

// init takes over an accepted socket and shows it on the scoreboard.
func (e *endpoint) init(fd sys.FD, id uint64, listener string, remote net.Addr, thread *scoreboard.Thread, clock sys.Clock) {
	e.fd, e.id, e.listener, e.remote, e.thread, e.clock = fd, id, listener, remote, thread, clock
	thread.SetState(mpm.StateReading)
	var text [64]byte
	thread.BeginConn(appendAddr(text[:0], remote), listener, clock.Now())
}

// count counts the connection, which is over.
func (e *endpoint) count() { e.thread.EndConn(e.sent, e.clock.Now()) }

// appendAddr writes an address into a buffer where that needs no memory.
func appendAddr(to []byte, addr net.Addr) []byte {
	switch addr := addr.(type) {
	case *net.TCPAddr:
		return addr.AddrPort().AppendTo(to)
	case *net.UnixAddr:
		return append(to, addr.Name...)
	}
	return to
}

// fail gives errors the shape that net's connections give them.
func (e *endpoint) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: e.remote.Network(), Source: e.LocalAddr(), Addr: e.remote, Err: err}
}

// Close ends the connection for both sides. The descriptor itself is the
// child's to close, once the handler has returned.
func (e *endpoint) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed.Swap(true) {
		return nil
	}
	return e.fd.Shutdown()
}

// retire takes the connection from its handler. It reports whether it was
// closed already.
func (e *endpoint) retire() (wasClosed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed.Swap(true)
}

func (e *endpoint) CloseWrite() error {
	if err := e.fd.ShutdownWrite(); err != nil {
		return fmt.Errorf("close write side: %w", err)
	}
	return nil
}

func (e *endpoint) LocalAddr() net.Addr {
	if e.local == nil {
		addr, err := e.fd.LocalAddr()
		if err != nil {
			addr = &net.TCPAddr{} // the peer has gone
		}
		e.local = addr
	}
	return e.local
}

func (e *endpoint) RemoteAddr() net.Addr { return e.remote }

// PeerDone implements mpm.Parting.
func (e *endpoint) PeerDone() { e.ended = true }

func (e *endpoint) ID() uint64 { return e.id }

func (e *endpoint) Listener() string { return e.listener }

func (e *endpoint) BeginRequest(method, target, protocol []byte) {
	e.thread.BeginRequest(method, target, protocol, e.clock.Now())
}

func (e *endpoint) Run(name string, budget time.Duration) { e.thread.Run(name, budget) }
func (e *endpoint) Call(name string)                      { e.thread.Call(name) }
func (e *endpoint) Pause()                                { e.thread.Pause() }
func (e *endpoint) Resume()                               { e.thread.Resume() }
func (e *endpoint) Continue()                             { e.thread.Continue() }

func (e *endpoint) EndRequest(bytesSent int64) { e.thread.EndRequest(bytesSent, e.clock.Now()) }

// mustBeServing holds what states a handler may set.
func mustBeServing(s mpm.State) {
	if s < mpm.StateReading || s > mpm.StateClosing {
		panic("BUG: a handler set the state " + s.String())
	}
}
