package connguest

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
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

// RegisterInit sets the function that prepares the instance.
func RegisterInit(f func() error) {
	if f == nil {
		panic("BUG: tcp.Init: the function is nil")
	}
	if prepare != nil {
		panic("BUG: tcp.Init: called twice")
	}
	prepare = f
}

// Init prepares the instance: what the export child_init runs.
func Init() error {
	if handler == nil {
		return errors.New("no handler: call tcp.Handle from an init function; main does not run")
	}
	if prepare == nil {
		return nil
	}
	return prepare()
}

// Serve serves one connection: what the export process_connection runs. That
// the client is done, gone or idle for too long is no fault of the handler's.
func Serve(c net.Conn) error {
	err := handler(c)
	for _, end := range ends {
		if errors.Is(err, end) {
			return nil
		}
	}
	return err
}

// ends are the errors with which every connection may end. net.ErrClosed is
// the handler's own Close.
var ends = []error{io.EOF, syscall.ECONNRESET, syscall.EPIPE, os.ErrDeadlineExceeded, net.ErrClosed}
