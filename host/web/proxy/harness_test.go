package proxy

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/internal/hosttest"
	"github.com/apphost/apphost/host/web"
)

const patience = 20 * time.Second

// gate is a server whose route /r/ is a proxy.
type gate struct {
	t    *testing.T
	addr string
	log  *hosttest.Log
}

// open serves an upstream, a URL, with what change makes of the settings.
func open(t *testing.T, upstream string, change func(*Config)) *gate {
	t.Helper()
	return openBehind(t, upstream, change, func(h exchange.Handler) exchange.Handler { return h })
}

// openBehind does so behind what wrap makes of the proxy.
func openBehind(t *testing.T, upstream string, change func(*Config), wrap func(exchange.Handler) exchange.Handler) *gate {
	t.Helper()
	to, err := ParseUpstream(upstream, "/r/")
	if err != nil {
		t.Fatal(err)
	}
	logger, log := hosttest.Logger()
	config := Config{Upstream: to, Route: "/r/", Logger: func(context.Context) *slog.Logger { return logger }}
	if change != nil {
		change(&config)
	}
	p := New(config)
	t.Cleanup(p.Close)
	s := web.New(web.Config{Mounts: []web.Mount{{Path: "/r/", Handler: wrap(p)}}})
	return &gate{t, hosttest.Serve(t, s.ServeConn), log}
}

// raw is an upstream by hand: each connection gets what is to be done with it.
func raw(t *testing.T, serve func(c net.Conn, r *bufio.Reader)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			serve(c, bufio.NewReader(c))
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return "http://" + l.Addr().String()
}

// upstream is one by net/http.
func upstream(t *testing.T, serve http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(serve)
	t.Cleanup(s.Close)
	return s.URL
}

// header reads a request's header as it is, without its last line.
func header(r *bufio.Reader) string {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil || line == "\r\n" {
			return b.String()
		}
		b.WriteString(line)
	}
}

// client is a raw connection to a gate.
type client struct {
	*net.TCPConn
	t *testing.T
	r *bufio.Reader
}

func (g *gate) dial() *client {
	g.t.Helper()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	g.t.Cleanup(func() { _ = c.Close() })
	return &client{c.(*net.TCPConn), g.t, bufio.NewReader(c)}
}

func (c *client) send(text string) *client {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
	return c
}

// response reads one, without its body.
func (c *client) response(method string) *http.Response {
	c.t.Helper()
	res, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("read response: %v", err)
	}
	return res
}

// whole reads a response and its body.
func (c *client) whole(method string) (*http.Response, string) {
	c.t.Helper()
	res := c.response(method)
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("read body: %v", err)
	}
	return res, string(body)
}

func (c *client) rest() string {
	b, _ := io.ReadAll(c.r)
	return string(b)
}

// exactly reads as many bytes as text has, which is what is expected.
func (c *client) exactly(text string) {
	c.t.Helper()
	b := make([]byte, len(text))
	if _, err := io.ReadFull(c.r, b); err != nil || string(b) != text {
		c.t.Fatalf("got %q, %v, want %q", b, err, text)
	}
}

const getR = "GET /r/a?b=c HTTP/1.1\r\nHost: shop.example\r\n\r\n"
