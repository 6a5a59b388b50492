package web

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/internal/hosttest"
)

// answers serves a handler that reads the body at /read, and at the others
// ones that do not.
func answers(t *testing.T, drain time.Duration) *fixture {
	t.Helper()
	status := func(code int, pieces ...string) exchange.Handler {
		return handlerFunc(func(_ context.Context, x exchange.Exchange) error {
			_ = x.SetStatus(code)
			for _, p := range pieces {
				if _, err := x.Write([]byte(p)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	s := New(Config{BodyBytesMax: 1000, Mounts: []Mount{
		{Path: "/read", Handler: echo(t)},
		{Path: "/held", Handler: status(200, "held")},
		{Path: "/byte", Handler: status(200, "b")},
		{Path: "/empty", Handler: status(204)},
		{Path: "/stream", Handler: status(200, "o", "k")},
	}})
	s.drainTimeout = drain
	return serveBy(t, s)
}

func TestBodyIsNotWaitedFor(t *testing.T) {
	for _, tc := range []struct {
		name, method, path, framing string
		status                      int
		length, body                string
	}{
		{"no handler", "POST", "/nosuch", "Content-Length: 100", 404, "14", "404 Not Found\n"},
		{"no handler, chunked", "POST", "/nosuch", "Transfer-Encoding: chunked", 404, "14", "404 Not Found\n"},
		{"held", "POST", "/held", "Content-Length: 100", 200, "4", "held"},
		{"held, chunked", "POST", "/held", "Transfer-Encoding: chunked", 200, "4", "held"},
		{"one byte", "POST", "/byte", "Content-Length: 100", 200, "1", "b"},
		{"streamed", "POST", "/stream", "Content-Length: 100", 200, "", "ok"},
		{"no content", "POST", "/empty", "Content-Length: 100", 204, "", ""},
		{"head", "HEAD", "/held", "Content-Length: 100", 200, "4", ""},
		{"get", "GET", "/held", "Content-Length: 100", 200, "4", "held"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			head := tc.method + " " + tc.path + " HTTP/1.1\r\nHost: a\r\n" + tc.framing + "\r\n\r\n"
			c := answers(t, time.Minute).dial()
			check := func() {
				t.Helper()
				r, body := c.response(tc.method)
				if r.StatusCode != tc.status || r.Header.Get("Content-Length") != tc.length || body != tc.body || r.Close {
					t.Errorf("got %d, %q, %v", r.StatusCode, body, r.Header)
				}
			}
			for range 2 { // the body is read then, and is not the next request
				c.send(head)
				check()
				body := strings.Repeat(get("/"), 5)[:100]
				if strings.HasSuffix(tc.framing, "chunked") {
					body = "64\r\n" + body + "\r\n0\r\n\r\n"
				}
				c.send(body)
			}
			// One that does not come is not waited for forever.
			c = answers(t, 20*time.Millisecond).dial()
			c.send(head)
			check()
			if got := c.rest(); got != "" {
				t.Errorf("then %q", got)
			}
		})
	}
}

func TestHandlerRunsBeforeTheBody(t *testing.T) {
	reached := make(chan struct{})
	f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		close(reached)
		_, err := io.Copy(io.Discard, x.Body())
		return err
	}))
	c := f.dial().send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
	<-reached
	if r, _ := c.send("abc").response("POST"); r.StatusCode != 200 {
		t.Errorf("got %d", r.StatusCode)
	}
}

func TestExpectationIsJudgedFirst(t *testing.T) {
	for _, tc := range []struct {
		name, path, header string
		status             int
	}{
		{"too large", "/read", "Expect: 100-continue\r\nContent-Length: 1001", 413},
		{"far too large", "/read", "Expect: 100-continue\r\nContent-Length: 8999999999999999999", 413},
		{"no handler", "/nosuch", "Expect: 100-continue\r\nContent-Length: 10", 404},
		{"no handler, chunked", "/nosuch", "Expect: 100-Continue\r\nTransfer-Encoding: chunked", 404},
		{"body is ignored", "/held", "Expect: 100-continue\r\nContent-Length: 10", 200},
		{"body is ignored, streamed", "/stream", "Expect: 100-continue\r\nContent-Length: 10", 200},
		{"unknown", "/read", "Expect: 200-ok\r\nContent-Length: 10", 417},
		{"one unknown", "/read", "expect: 100-continue\r\nEXPECT: x\r\nContent-Length: 10", 417},
		{"bad header", "/read", "Expect: 100-continue\r\nX : y\r\nContent-Length: 10", 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := answers(t, time.Minute).dial()
			r, _ := c.send("POST " + tc.path + " HTTP/1.1\r\nHost: a\r\n" + tc.header + "\r\n\r\n").response("POST")
			// It closes: the body may come or not.
			if r.StatusCode != tc.status || !r.Close || c.rest() != "" {
				t.Errorf("got %d, %v", r.StatusCode, r.Header)
			}
		})
	}
	for _, value := range []string{"100-continue", "100-Continue", "100-CONTINUE"} {
		c := answers(t, time.Minute).dial()
		c.send("POST /read HTTP/1.1\r\nHost: a\r\nExpect: " + value + "\r\nTransfer-Encoding: chunked\r\n\r\n")
		if got := c.line() + c.line(); got != "HTTP/1.1 100 Continue" {
			t.Fatalf("%s: got %q", value, got)
		}
		if r, body := c.send("3\r\nabc\r\n0\r\n\r\n").response("POST"); body != "abc" || r.Close {
			t.Errorf("%s: got %q", value, body)
		}
		// Nobody waits where there is no body, and no client of HTTP/1.0.
		if _, body := c.send("GET /held HTTP/1.1\r\nHost: a\r\nExpect: " + value + "\r\n\r\n").response("GET"); body != "held" {
			t.Errorf("%s: got %q", value, body)
		}
		if _, body := c.send("POST /read HTTP/1.0\r\nExpect: " + value + "\r\nContent-Length: 3\r\n\r\nabc").response("POST"); body != "abc" {
			t.Errorf("%s: got %q", value, body)
		}
	}
}

func TestContinueIsNotSentWithinTheResponse(t *testing.T) {
	f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		_, _ = x.Write([]byte("a"))
		_, _ = x.Write([]byte("b"))
		body, err := io.ReadAll(x.Body())
		_, _ = x.Write(body)
		return err
	}))
	c := f.dial().send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")
	if _, body := c.response("POST"); body != "ababc" {
		t.Errorf("got %q", body)
	}
}

func TestBrokenBodyIsTheClientsFault(t *testing.T) {
	for _, tc := range []struct {
		raw, reason string
		status      int
	}{
		{"Content-Length: 10\r\n\r\nabc", "ended in the middle of the request", 400},
		{"Transfer-Encoding: chunked\r\n\r\n", "ended in the middle of the request", 400},
		{"Transfer-Encoding: chunked\r\n\r\n3", "ended in the middle of the request", 400},
		{"Transfer-Encoding: chunked\r\n\r\n3\r\nab", "ended in the middle of the request", 400},
		{"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "ended in the middle of the request", 400},
		{"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", "ended in the middle of the request", 400},
		{"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n", "ended in the middle of the request", 400},
		{"Transfer-Encoding: chunked\r\n\r\n3x\r\nabc\r\n0\r\n\r\n", "chunk", 400},
		{"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + strings.Repeat("y", 20<<10), "trailers are larger than header_bytes_max", 431},
		{"Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + strings.Repeat("a", 1001) + "\r\n0\r\n\r\n", "too large", 413},
	} {
		var log bytes.Buffer
		f := serve(t, Config{
			BodyBytesMax: 1000, Mounts: []Mount{{Path: "/", Handler: echo(t)}},
			Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
		c := f.dial().send("POST / HTTP/1.1\r\nHost: a\r\n" + tc.raw)
		_ = c.CloseWrite()
		if r, _ := c.response("POST"); r.StatusCode != tc.status || !r.Close {
			t.Errorf("%.60q: got %d, %v", tc.raw, r.StatusCode, r.Header)
		}
		<-f.done
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, tc.reason) {
			t.Errorf("%.60q: logged %q", tc.raw, got)
		}
	}
}

func TestBrokenBodyCutsTheResponseOff(t *testing.T) {
	var log bytes.Buffer
	f := serve(t, Config{
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Mounts: []Mount{{Path: "/", Handler: handlerFunc(func(_ context.Context, x exchange.Exchange) error {
			_, _ = x.Write([]byte("a"))
			_, _ = x.Write([]byte("b"))
			_, err := io.Copy(io.Discard, x.Body())
			return err
		})}},
	})
	c := f.dial().send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na")
	_ = c.CloseWrite()
	if got := c.rest(); !strings.HasSuffix(got, "\r\n2\r\nab\r\n") && !strings.HasSuffix(got, "\r\n1\r\nb\r\n") {
		t.Errorf("got %q", got)
	}
	<-f.done
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "unexpected EOF") {
		t.Errorf("logged %q", got)
	}
}

// A client sends a number of bytes each second; what it has is bounded by how
// many.
func TestBodyHasALeastRate(t *testing.T) {
	// The library starts a goroutine for the whole process with its first
	// response, which must not be within a bubble.
	helloServer("hello").ServeConn(t.Context(), &hosttest.Scripted{Piece: benchRequest, N: 1})
	for _, tc := range []struct {
		name     string
		bytes    int // each second
		status   int
		min, max time.Duration
	}{
		{"a byte", 1, 408, 19 * time.Second, 21 * time.Second},
		{"too few", 250, 408, 35 * time.Second, 41 * time.Second},
		{"enough", 600, 200, 98 * time.Second, 101 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := New(Config{Mounts: []Mount{{Path: "/", Handler: handlerFunc(func(_ context.Context, x exchange.Exchange) error {
					_, err := io.Copy(io.Discard, x.Body())
					return err
				})}}})
				ours, theirs := net.Pipe()
				var both sync.WaitGroup
				both.Go(func() {
					s.ServeConn(t.Context(), &modelConn{Conn: theirs})
					_ = theirs.Close()
				})
				start := time.Now()
				both.Go(func() {
					_, err := io.WriteString(ours, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: "+decimal(100*tc.bytes)+"\r\n\r\n")
					for tick := time.Tick(time.Second); err == nil; <-tick {
						_, err = ours.Write(make([]byte, tc.bytes))
					}
				})
				r, err := http.ReadResponse(bufio.NewReader(ours), nil)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); r.StatusCode != tc.status || took < tc.min || took > tc.max {
					t.Errorf("got %d after %v", r.StatusCode, took)
				}
				_ = ours.Close()
				both.Wait()
			})
		})
	}
}

// A header has one time for all of it, however its bytes are spread over that.
func TestAHeaderHasOneTime(t *testing.T) {
	helloServer("hello").ServeConn(t.Context(), &hosttest.Scripted{Piece: benchRequest, N: 1}) // see TestBodyHasALeastRate
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{HeaderTimeout: 20 * time.Second, Mounts: []Mount{{Path: "/", Handler: say("hello")}}})
		ours, theirs := net.Pipe()
		var both sync.WaitGroup
		both.Go(func() {
			s.ServeConn(t.Context(), &modelConn{Conn: theirs})
			_ = theirs.Close()
		})
		start := time.Now()
		both.Go(func() {
			_, err := io.WriteString(ours, "GET / HTTP/1.1\r\nHost: a\r\nX: ")
			for tick := time.Tick(time.Second); err == nil && time.Since(start) < time.Hour; <-tick {
				_, err = io.WriteString(ours, "x")
			}
		})
		r, err := http.ReadResponse(bufio.NewReader(ours), nil)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); r.StatusCode != 408 || took < 19*time.Second || took > 21*time.Second {
			t.Errorf("got %d after %v", r.StatusCode, took)
		}
		_ = ours.Close()
		both.Wait()
	})
}
