package connguest

import (
	"errors"
	"io"
	"net"
)

// What the guest registered. The host calls exports without a handle, so the
// functions behind them can only be found in variables of the package. They
// are set while the module initialises and never change afterwards.
var (
	handler func(net.Conn) error
	prepare func() error
)

// Register sets the connection handler.
func Register(h func(net.Conn) error) {
	if h == nil {
		panic("BUG: tcp.Handle: the handler is nil")
	}
	if handler != nil {
		panic("BUG: tcp.Handle: called twice")
	}
	handler = h
}

// RegisterInit sets the function that prepares the child.
func RegisterInit(f func() error) {
	if f == nil {
		panic("BUG: tcp.Init: the function is nil")
	}
	if prepare != nil {
		panic("BUG: tcp.Init: called twice")
	}
	prepare = f
}

// Init prepares the child: what the export child_init runs.
func Init() error {
	if handler == nil {
		return errors.New("no handler: call tcp.Handle from an init function; main does not run")
	}
	if prepare == nil {
		return nil
	}
	return prepare()
}

// Serve serves one connection: what the export process_connection runs. The
// end of the stream is a client that is done, not a fault.
func Serve(c net.Conn) error {
	if err := handler(c); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
