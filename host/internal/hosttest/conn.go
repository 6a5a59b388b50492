// Package hosttest has what tests of the host need of a multi-processing
// model: connections to hand to it.
package hosttest

import (
	"bytes"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/apphost/apphost/mpm"
)

// Conn is an mpm.Conn over any net.Conn.
type Conn struct {
	net.Conn
	Number uint64
	Name   string      // of the listener
	Leave  atomic.Bool // what Stopping says
	state  atomic.Uint32
}

var _ mpm.Duplexer = (*Conn)(nil)

// CloseWrite closes the write side, of a net.Pipe both sides.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// Duplex does nothing: a net.Conn can be read and written at a time.
func (c *Conn) Duplex(bool) error { return nil }

// ID is Number.
func (c *Conn) ID() uint64 { return c.Number }

// Listener is Name.
func (c *Conn) Listener() string { return c.Name }

// SetState records the state.
func (c *Conn) SetState(s mpm.State) { c.state.Store(uint32(s)) }

// State is the last state that was set.
func (c *Conn) State() mpm.State { return mpm.State(c.state.Load()) }

// Stopping is Leave.
func (c *Conn) Stopping() bool { return c.Leave.Load() }

// Pair returns the two ends of a TCP connection, the host's and the client's.
func Pair(t testing.TB, listener string) (*Conn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Close()
		_ = client.Close()
	})
	return &Conn{Conn: server, Number: 42, Name: listener}, client.(*net.TCPConn)
}

// Log collects log lines. It is safe for concurrent use.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write adds p.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// Take returns what was logged since the last call.
func (l *Log) Take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.buf.Reset()
	return l.buf.String()
}

// Logger returns a logger of all levels, as text without times, and its log.
func Logger() (*slog.Logger, *Log) {
	log := &Log{}
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	return slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: noTime})), log
}
