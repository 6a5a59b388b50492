package connguest

import (
	"net"

	"github.com/apphost/apphost/sdk/abi"
)

// accepted is the connection that a program has, and ended is closed with it. The
// host has one connection for the instance, so the instance has one as well.
var (
	accepted *Conn
	ended    chan struct{}
)

// Accept closes the connection before, if there is one, and waits for the next.
func Accept() (net.Conn, error) {
	if accepted != nil && !accepted.closed.Load() {
		_ = accepted.Close() // the host does the rest
	}
	if err := accept(); err != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: err}
	}
	ended = make(chan struct{})
	accepted = NewConn()
	accepted.onClose = func() { close(ended) }
	return accepted, nil
}

// Listener is Accept for those who serve each connection in a goroutine: its own
// waits until the connection before was closed.
type Listener struct{}

// Accept waits for both.
func (Listener) Accept() (net.Conn, error) {
	if accepted != nil {
		<-ended
	}
	return Accept()
}

// Close does nothing: the listener is the host's.
func (Listener) Close() error { return nil }

// Addr is where the connection that is being served has come in; before the first
// one it is zero.
func (Listener) Addr() net.Addr { return addr(Info(abi.InfoLocalAddr)) }
