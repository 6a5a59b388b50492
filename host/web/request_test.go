package web

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/internal/hosttest"
)

// echo answers with the body, and "smuggled" in the path makes it fail the
// test: the second request must never be seen.
func echo(t *testing.T) exchange.Handler {
	return handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		if strings.Contains(string(x.URI()), "smuggled") {
			t.Errorf("%s was served", x.URI())
		}
		body, err := io.ReadAll(x.Body())
		_, _ = x.Write(body)
		return err
	})
}

func TestAmbiguousRequestsAreRefused(t *testing.T) {
	// What follows is a request if the one before it ends where one reading
	// of it says.
	const next = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, tc := range []struct{ name, raw string }{
		{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"},
		{"two equal lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"},
		{"list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc"},
		{"length with sign", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc"},
		{"negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc"},
		{"huge length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nabc"},
		{"hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc"},
		{"length and chunked", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"chunked and length", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"},
		{"chunked twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"list of codings", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
		{"identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc"},
		{"empty coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\nContent-Length: 3\r\n\r\nabc"},
		{"coding with vertical tab", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n"},
		{"chunked in 1.0", "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"space before colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc"},
		{"space before coding's colon", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"},
		{"space in name", "GET / HTTP/1.1\r\nHost: a\r\nX Y: 3\r\n\r\n"},
		{"space before first name", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
		{"empty name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"},
		{"no colon", "GET / HTTP/1.1\r\nHost: a\r\nabc\r\n\r\n"},
		{"folded with space", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n Content-Length: 3\r\n\r\nabc"},
		{"folded with tab", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\tb\r\n\r\n"},
		{"bare LF in header", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"},
		{"bare LF before length", "GET / HTTP/1.1\r\nHost: a\r\nX: b\nContent-Length: 3\r\n\r\nabc"},
		{"bare LFs in the middle", "GET / HTTP/1.1\r\nHost: a\n\nX: b\r\n\r\n"},
		{"bare CR in value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"},
		{"two CR", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n"},
		{"NUL in value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n"},
		{"NUL in name", "GET / HTTP/1.1\r\nHost: a\r\nX\x00: b\r\n\r\n"},
		{"NUL in target", "GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"no host", "GET / HTTP/1.1\r\n\r\n"},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
		{"no version", "GET /\r\nHost: a\r\n\r\n"},
		{"empty authority", "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"authority is a port", "GET http://:80/ HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"user in authority", "GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"user and password in authority", "GET http://u:p@b/ HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"fragment after authority", "GET http://b#c/ HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"fragment after path", "GET http://b/c#d HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"port of authority", "GET http://b:8x/ HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"backslash in authority", "GET http://b\\c/ HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"escape in authority", "GET http://b%0g/ HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"bracket in authority", "GET http://[::1/ HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"other scheme", "GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"user in host", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"},
		{"path in host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
		{"list of hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"},
		{"space in target", "GET / a HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"not HTTP", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := mount(t, echo(t))
			c := f.dial().send(tc.raw + next)
			_ = c.CloseWrite()
			r, _ := c.response("GET")
			if r.StatusCode != 400 || !r.Close {
				t.Errorf("got %d, %v", r.StatusCode, r.Header)
			}
			if got := c.rest(); got != "" {
				t.Errorf("then %q", got)
			}
		})
	}
}

func TestBrokenBodiesEndTheConnection(t *testing.T) {
	const next = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, tc := range []struct{ name, body string }{
		{"no size", "\r\nabc\r\n0\r\n\r\n"},
		{"bad size", "x\r\nabc\r\n0\r\n\r\n"},
		{"signed size", "+3\r\nabc\r\n0\r\n\r\n"},
		{"huge size", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"},
		{"size in bare LF", "3\nabc\r\n0\r\n\r\n"},
		{"LF in extension", "3;a\nb\r\nabc\r\n0\r\n\r\n"},
		{"no CR LF after chunk", "3\r\nabcd0\r\n\r\n"},
		{"bare LF after chunk", "3\r\nabc\n0\r\n\r\n"},
		{"negative size", "-3\r\nabc\r\n0\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := mount(t, echo(t))
			c := f.dial().send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + tc.body + next)
			_ = c.CloseWrite()
			if r, _ := c.response("POST"); r.StatusCode != 400 || !r.Close {
				t.Errorf("got %d, %v", r.StatusCode, r.Header)
			}
			if got := c.rest(); got != "" {
				t.Errorf("then %q", got)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	for _, tc := range []struct {
		name, raw string
		status    int
	}{
		{"long target", "GET /" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\nHost: a\r\n\r\n", 431},
		{"large header", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 20<<10) + "\r\n\r\n", 431},
		{"many fields", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: a\r\n", fieldsMax) + "\r\n", 431},
		{"large body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n" + strings.Repeat("a", 1000), 413},
		{"large body, asked before", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n" + strings.Repeat("a", 1000), 413},
		{"large chunked body", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + strings.Repeat("a", 1001) + "\r\n0\r\n\r\n", 413},
		{"body at the limit", "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n" + strings.Repeat("a", 1000), 200},
		{"chunked body at the limit", "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + strings.Repeat("a", 1000) + "\r\n0\r\n\r\n", 200},
		{"version 2", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := serve(t, Config{BodyBytesMax: 1000, Mounts: []Mount{{Path: "/", Handler: echo(t)}}})
			c := f.dial()
			go func() { _, _ = io.WriteString(c, tc.raw) }() // it may be cut off
			r, _ := c.response("POST")
			for r.StatusCode == 100 {
				r, _ = c.response("POST")
			}
			if r.StatusCode != tc.status || !r.Close {
				t.Errorf("got %d, %v", r.StatusCode, r.Header)
			}
		})
	}
}

func TestExpectContinue(t *testing.T) {
	f := mount(t, echo(t))
	c := f.dial()
	for range 2 {
		c.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
		if got := c.line() + c.line(); got != "HTTP/1.1 100 Continue" {
			t.Fatalf("got %q", got)
		}
		if _, body := c.send("abc").response("POST"); body != "abc" {
			t.Errorf("got %q", body)
		}
	}
}

func TestUnreadBodyIsNotTheNextRequest(t *testing.T) {
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	small := strings.Repeat(smuggled, 100)
	large := strings.Repeat(smuggled, 20000)
	ignore := func(pieces ...string) exchange.Handler {
		return handlerFunc(func(_ context.Context, x exchange.Exchange) error {
			for _, p := range pieces {
				_, _ = x.Write([]byte(p))
			}
			return nil
		})
	}
	for _, tc := range []struct {
		name      string
		handler   exchange.Handler
		chunked   bool
		body      string
		keepAlive bool
	}{
		{"short", ignore("ok"), false, small, true},
		{"short, chunked", ignore("ok"), true, small, true},
		{"long", ignore("ok"), false, large, false},
		{"long, chunked", ignore("ok"), true, large, false},
		{"short, streamed answer", ignore("o", "k"), false, small, true},
		{"long, streamed answer", ignore("o", "k"), true, large, false},
		{"failed", handlerFunc(func(_ context.Context, x exchange.Exchange) error {
			_, _ = x.Write([]byte("ok"))
			return errors.New("failed")
		}), false, small, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := serve(t, Config{Mounts: []Mount{{Path: "/ignore", Handler: tc.handler}, {Path: "/", Handler: echo(t)}}})
			c := f.dial()
			head := "POST /ignore HTTP/1.1\r\nHost: a\r\n"
			if tc.chunked {
				head += "Transfer-Encoding: chunked\r\n\r\n" + hex(len(tc.body)) + "\r\n"
				tc.body += "\r\n0\r\n\r\n"
			} else {
				head += "Content-Length: " + decimal(len(tc.body)) + "\r\n\r\n"
			}
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				_, _ = io.WriteString(c, head+tc.body+get("/next"))
			}()
			c.response("POST")
			if tc.keepAlive {
				if r, _ := c.response("GET"); r.StatusCode != 200 {
					t.Errorf("next request: got %d", r.StatusCode)
				}
			} else if rest, _ := io.ReadAll(c.r); len(rest) > 0 { // it may end in a reset
				t.Errorf("then %q", rest)
			}
			_ = c.Close()
			<-sent
		})
	}
}

func TestBodyIsStreamed(t *testing.T) {
	first := make(chan struct{})
	f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		if string(x.Method()) == "GET" {
			return nil
		}
		buf := make([]byte, 3)
		_, _ = io.ReadFull(x.Body(), buf)
		close(first)
		rest, err := io.ReadAll(x.Body())
		_, _ = x.Write(append(buf, rest...))
		if n, again := x.Body().Read(buf); n != 0 || again != io.EOF {
			t.Errorf("read after the end: %d, %v", n, again)
		}
		return err
	}))
	c := f.dial().send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
	<-first
	if _, body := c.send("3\r\ndef\r\n0\r\n\r\n" + get("/")).response("POST"); body != "abcdef" {
		t.Errorf("got %q", body)
	}
	if r, _ := c.response("GET"); r.StatusCode != 200 {
		t.Errorf("next request: got %d", r.StatusCode)
	}
}

func TestBodyThatBreaksOff(t *testing.T) {
	failed := make(chan error, 1)
	f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		_, err := io.Copy(io.Discard, x.Body())
		failed <- err
		return err
	}))
	c := f.dial().send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("a", 50000))
	_ = c.CloseWrite()
	if err := <-failed; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	if r, _ := c.response("POST"); r.StatusCode != 400 || !r.Close {
		t.Errorf("got %d", r.StatusCode)
	}
}

// FuzzServeConn holds that no bytes of a client make the server fail, and
// that it answers no more requests than there can be in them.
func FuzzServeConn(f *testing.F) {
	f.Add("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /s HTTP/1.0\r\n\r\n")
	f.Add("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: 1\r\n\r\nHEAD /s?x HTTP/1.1\r\nHost: a\r\n\r\n")
	f.Add("PUT http://b/s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")
	f.Add("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		served := 0
		s := New(Config{Mounts: []Mount{{Path: "/", Handler: handlerFunc(func(_ context.Context, x exchange.Exchange) error {
			served++
			body, err := io.ReadAll(x.Body())
			_, _ = x.Write(body)
			if strings.HasPrefix(string(x.URI()), "/s") {
				_, _ = x.Write(body)
			}
			return err
		})}}})
		s.ServeConn(t.Context(), &hosttest.Scripted{Piece: raw, N: 1})
		if limit := strings.Count(raw, " HTTP/1."); served > limit {
			t.Errorf("%d requests were served, there are at most %d", served, limit)
		}
	})
}
