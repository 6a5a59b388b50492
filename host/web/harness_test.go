package web

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/mpm"
)

// handlerFunc is a handler that is a function.
type handlerFunc func(ctx context.Context, x exchange.Exchange) error

func (f handlerFunc) Serve(ctx context.Context, x exchange.Exchange) error { return f(ctx, x) }

// say answers with text.
func say(text string) exchange.Handler {
	return handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		_, err := x.Write([]byte(text))
		return err
	})
}

// modelConn is a connection as a model makes it.
type modelConn struct {
	net.Conn
	stopping atomic.Bool
	closed   atomic.Int32
	peerDone atomic.Bool

	mu     sync.Mutex
	states []mpm.State
}

func (c *modelConn) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }
func (c *modelConn) Duplex(bool) error { return nil }
func (c *modelConn) ID() uint64        { return 1 }
func (c *modelConn) Listener() string  { return "test" }
func (c *modelConn) Stopping() bool    { return c.stopping.Load() }
func (c *modelConn) PeerDone()         { c.peerDone.Store(true) }
func (c *modelConn) Close() error      { c.closed.Add(1); return c.Conn.Close() }

func (c *modelConn) SetState(s mpm.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.states = append(c.states, s)
}

// Read is the model's part of a graceful stop: see mpm.Conn.
func (c *modelConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	idle := len(c.states) > 0 && c.states[len(c.states)-1] == mpm.StateKeepalive
	c.mu.Unlock()
	if idle && c.stopping.Load() {
		return 0, io.EOF
	}
	return c.Conn.Read(p)
}

// fixture is a server on a loopback port.
type fixture struct {
	t      *testing.T
	server *Server
	addr   string
	conns  chan *modelConn // each connection when it is accepted
	done   chan *modelConn // each connection when ServeConn has returned
}

func serve(t *testing.T, config Config) *fixture {
	t.Helper()
	if err := config.Validate(); err != nil {
		t.Fatal(err)
	}
	return serveBy(t, New(config))
}

func serveBy(t *testing.T, s *Server) *fixture {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{
		t: t, server: s, addr: l.Addr().String(),
		conns: make(chan *modelConn, 100), done: make(chan *modelConn, 100),
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				m := &modelConn{Conn: c}
				f.conns <- m
				f.server.ServeConn(t.Context(), m)
				if m.closed.Load() != 0 {
					t.Error("ServeConn closed the connection")
				}
				_ = c.Close()
				f.done <- m
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait() // nothing of a test outlives it
	})
	return f
}

// mount serves h at "/".
func mount(t *testing.T, h exchange.Handler) *fixture {
	t.Helper()
	return serve(t, Config{Mounts: []Mount{{Path: "/", Name: "test", Handler: h}}})
}

// client is a raw connection to a fixture.
type client struct {
	*net.TCPConn
	t *testing.T
	r *bufio.Reader
}

func (f *fixture) dial() *client {
	f.t.Helper()
	c, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second)) // a test that hangs fails
	f.t.Cleanup(func() { _ = c.Close() })
	return &client{c.(*net.TCPConn), f.t, bufio.NewReader(c)}
}

func (c *client) send(raw string) *client {
	c.t.Helper()
	if _, err := io.WriteString(c, raw); err != nil {
		c.t.Fatal(err)
	}
	return c
}

// response reads a response to a request with method, and all of its body.
func (c *client) response(method string) (*http.Response, string) {
	c.t.Helper()
	r, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("read response: %v", err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatalf("read body: %v", err)
	}
	return r, string(body)
}

// rest reads to the end of the connection.
func (c *client) rest() string {
	c.t.Helper()
	b, err := io.ReadAll(c.r)
	if err != nil {
		c.t.Fatalf("read to end: %v", err)
	}
	return string(b)
}

// line reads to the next LF and returns what is before CR LF.
func (c *client) line() string {
	c.t.Helper()
	s, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatalf("read line: %v", err)
	}
	return strings.TrimSuffix(s, "\r\n")
}

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: test\r\n\r\n" }
