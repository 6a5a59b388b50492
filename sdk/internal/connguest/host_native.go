//go:build !wasip1

package connguest

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/apphost/apphost/sdk/abi"
)

// Fake is what the host functions answer outside WebAssembly. Like the host
// of one instance it has one connection at a time.
type Fake struct {
	// Conn is the connection; nil, as in child_init, means none.
	Conn net.Conn
	// Facts are the answers of Info by key.
	Facts map[uint32]string
	// Values are the plugin's configuration.
	Values map[string]string
	// Leave is what Stopping answers.
	Leave atomic.Bool

	readTimeout, writeTimeout time.Duration
}

// fake is the host of this process, as the imports are that of an instance:
// a guest's code reaches its host without a handle, so here too it is found
// in a variable of the package.
var fake atomic.Pointer[Fake]

// SetFake makes f answer the host functions; nil stands for a host without
// connection and configuration. It returns what answered before.
func SetFake(f *Fake) (before *Fake) { return fake.Swap(f) }

func current() *Fake {
	if f := fake.Load(); f != nil {
		return f
	}
	return new(Fake)
}

// deadline is d from now; no time, which means never, for a d of 0.
func deadline(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

func read(p []byte) (int, error) {
	f := current()
	if f.Conn == nil {
		return 0, net.ErrClosed
	}
	if err := f.Conn.SetReadDeadline(deadline(f.readTimeout)); err != nil {
		return 0, err
	}
	n, err := f.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		return 0, nil
	}
	return n, err
}

func write(p []byte) error {
	f := current()
	if f.Conn == nil {
		return net.ErrClosed
	}
	if err := f.Conn.SetWriteDeadline(deadline(f.writeTimeout)); err != nil {
		return err
	}
	_, err := f.Conn.Write(p)
	return err
}

// accept has nothing to wait for: a test has its connections from tcptest.
func accept() error { return errors.ErrUnsupported }

func shutdownWrite() error {
	if c, ok := current().Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

func setTimeout(which, ms uint32) error {
	f := current()
	if which == abi.TimeoutRead {
		f.readTimeout = time.Duration(ms) * time.Millisecond
	} else {
		f.writeTimeout = time.Duration(ms) * time.Millisecond
	}
	return nil
}

// Info is one fact about the connection; key is one of the abi.Info constants.
// It is empty if the fact does not apply.
func Info(key uint32) string { return current().Facts[key] }

// Config is one value of the plugin's configuration.
func Config(key string) (value string, found bool) {
	value, found = current().Values[key]
	return value, found
}

// Stopping reports whether the child was told to leave.
func Stopping() bool { return current().Leave.Load() }
