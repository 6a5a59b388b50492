package web

import (
	"context"
	"io"
	"iter"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/internal/hosttest"
)

const benchRequest = "GET /hello/ HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n"

func helloServer(pieces ...string) *Server {
	name, value := []byte("Content-Type"), []byte("text/plain")
	var bodies [][]byte
	for _, p := range pieces {
		bodies = append(bodies, []byte(p))
	}
	return New(Config{Mounts: []Mount{{Path: "/hello/", Name: "hello", Handler: handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		err := x.Header(exchange.Response).Set(name, value)
		for _, b := range bodies {
			_, err = x.Write(b)
		}
		return err
	})}}})
}

// BenchmarkRequest is one request of a connection that is kept alive, by
// what the handler does.
func BenchmarkRequest(b *testing.B) {
	for _, bc := range []struct {
		name   string
		pieces []string
	}{
		{"held", []string{"hello, world\n"}},
		{"byte", []string{"h"}},
		{"stream", []string{"hello, ", "world\n"}},
		{"64KiB", []string{strings.Repeat("x", 64<<10)}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			s := helloServer(bc.pieces...)
			b.ReportAllocs()
			s.ServeConn(b.Context(), &hosttest.Scripted{Piece: benchRequest, N: b.N})
		})
	}
}

// BenchmarkLibrary is the same request answered by the library alone: what
// is less than BenchmarkRequest is the price of exchange and connection.
func BenchmarkLibrary(b *testing.B) {
	s := &fasthttp.Server{
		Handler: func(ctx *fasthttp.RequestCtx) {
			ctx.Response.Header.SetContentType("text/plain")
			ctx.Response.SetBodyString("hello, world\n")
		},
		StreamRequestBody: true, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
	}
	b.ReportAllocs()
	_ = s.ServeConn(&hosttest.Scripted{Piece: benchRequest, N: b.N})
}

// BenchmarkHandler is the handler of BenchmarkRequest called directly.
func BenchmarkHandler(b *testing.B) {
	s := helloServer("hello, world\n")
	h := s.routes.find(nil, []byte("/hello/"), []byte("GET")).handler
	x := &newConn(s).x
	b.ReportAllocs()
	for b.Loop() {
		x.begin(nil)
		_ = h.Serve(b.Context(), x)
	}
}

// BenchmarkConnection is a connection with a single request.
func BenchmarkConnection(b *testing.B) {
	s := helloServer("hello, world\n")
	b.ReportAllocs()
	for b.Loop() {
		s.ServeConn(b.Context(), &hosttest.Scripted{Piece: benchRequest, N: 1})
	}
}

// BenchmarkLoopback is a request and its answer over a real socket.
func BenchmarkLoopback(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		helloServer("hello, world\n").ServeConn(b.Context(), &modelConn{Conn: c})
		_ = c.Close()
	})
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.WriteString(c, benchRequest); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
	_ = c.Close()
	_ = l.Close()
	served.Wait()
}

// BenchmarkCoroutine is what each request would cost more if its handler ran
// as a coroutine beside the library's writer, as stream.go weighs it: one
// switch there and one back.
func BenchmarkCoroutine(b *testing.B) {
	next, stop := iter.Pull(func(yield func(struct{}) bool) {
		for yield(struct{}{}) {
		}
	})
	defer stop()
	for b.Loop() {
		next()
	}
}

func TestHelloAllocatesNothing(t *testing.T) {
	s := helloServer("hello, world\n")
	const requests = 10_000
	perConnection := testing.AllocsPerRun(5, func() {
		s.ServeConn(t.Context(), &hosttest.Scripted{Piece: benchRequest, N: requests})
	})
	if perRequest := perConnection / requests; perRequest > 0.1 {
		t.Errorf("%.2f allocations per request", perRequest)
	}
}
