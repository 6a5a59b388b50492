package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apphost/apphost/host/exchange"
)

func TestTheRequestIsTheClients(t *testing.T) {
	got := make(chan string, 1)
	g := open(t, raw(t, func(c net.Conn, r *bufio.Reader) {
		h := header(r)
		body, _ := io.ReadAll(io.LimitReader(r, 4))
		got <- h + string(body)
		_, _ = io.WriteString(c, "HTTP/1.1 201 Made\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nContent-Length: 2\r\nX-A: 1\r\nX-A: 2\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\n\r\nok")
	}), nil)
	c := g.dial().send("PUT /r//a/%2e%2e/b%2Fc?d=%zz HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: test\r\nX-B: 1\r\nX-B: 2\r\n" +
		"Connection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 1\r\nTE: trailers, gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nProxy-Connection: x\r\n" +
		"X-Forwarded-For: 6.6.6.6\r\nx_forwarded_for: 6.6.6.6\r\nX-Real-Ip: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nContent-Length: 4\r\n\r\nbody")
	res, body := c.whole("PUT")
	want := "PUT /r//a/%2e%2e/b%2Fc?d=%zz HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: test\r\nX-B: 1\r\nX-B: 2\r\n" +
		"Content-Length: 4\r\nConnection: TE\r\nTE: trailers\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: shop.example\r\n" +
		"X-Forwarded-Proto: http\r\nVia: 1.1 apphost\r\nbody"
	if got := <-got; got != want {
		t.Errorf("the upstream got\n%s\nwant\n%s", got, want)
	}
	if res.StatusCode != 201 || body != "ok" || res.ContentLength != 2 || !slices.Equal(res.Header["X-A"], []string{"1", "2"}) {
		t.Errorf("the client got %d %v %q", res.StatusCode, res.Header, body)
	}
	if res.Header.Get("X-Hop")+res.Header.Get("Keep-Alive") != "" || len(res.Header["Date"]) != 1 {
		t.Errorf("the client got %v", res.Header)
	}
}

// Where a request ends is said in one way only, and it is ours.
func TestTheFramingIsOurs(t *testing.T) {
	got := make(chan string, 1)
	g := open(t, raw(t, func(c net.Conn, r *bufio.Reader) {
		h := header(r)
		body := ""
		for b, err := r.ReadByte(); err == nil; b, err = r.ReadByte() {
			if body += string(b); body == "hello" || strings.HasSuffix(body, "\r\n\r\n") {
				break
			}
		}
		got <- h + "|" + body
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	}), nil)
	for name, test := range map[string]struct{ request, framing, body string }{
		"chunks":    {"Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2;ext=1\r\nhe\r\n3\r\nllo\r\n0\r\nX-T: v\r\n\r\n", "Transfer-Encoding: chunked", ""},
		"a length":  {"Content-Length: 05\r\n\r\nhello", "Content-Length: 5", "hello"},
		"by a hop":  {"Connection: Content-Length, Host\r\nContent-Length: 5\r\n\r\nhello", "Content-Length: 5", "hello"},
		"a keeping": {"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", "Content-Length: 5", "hello"},
	} {
		t.Run(name, func(t *testing.T) {
			c := g.dial().send("POST /r/ HTTP/1.1\r\nHost: x\r\n" + test.request)
			h, body, _ := strings.Cut(<-got, "|")
			if strings.Count(h, "Content-Length:")+strings.Count(h, "Transfer-Encoding:") != 1 || !strings.Contains(h, test.framing+"\r\n") || !strings.Contains(h, "Host: x\r\n") {
				t.Errorf("the upstream got\n%s", h)
			}
			if test.body != "" && body != test.body || test.body == "" && !strings.HasSuffix(body, "0\r\nX-T: v\r\n\r\n") {
				t.Errorf("the upstream got the body %q", body)
			}
			if res, _ := c.whole("POST"); res.StatusCode != 100 && res.StatusCode != 200 {
				t.Errorf("answered %d", res.StatusCode)
			}
		})
	}
}

func TestWhatIsNoTargetIsRefused(t *testing.T) {
	g := open(t, raw(t, func(net.Conn, *bufio.Reader) { t.Error("a request came") }), nil)
	for _, target := range []string{"/r/ HTTP/1.1", "/r/a b", "/r/\x7f", "/r/#x"} {
		if res, _ := g.dial().send("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n").whole("GET"); res.StatusCode != 400 {
			t.Errorf("%q: %d", target, res.StatusCode)
		}
	}
}

func TestTheResponseKeepsItsForm(t *testing.T) {
	for name, test := range map[string]struct {
		method, response string
		status           int
		body             string
		length           int64
	}{
		"a length":        {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", 5},
		"chunks":          {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, "hello", -1},
		"to the end":      {"GET", "HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello", -1},
		"both":            {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, "hello", -1},
		"HEAD":            {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, "", 5},
		"HEAD, no length": {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "", -1},
		"empty":           {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", 0},
		"204":             {"GET", "HTTP/1.1 204 None\r\n\r\n", 204, "", 0},
		"304":             {"GET", "HTTP/1.1 304 Same\r\nContent-Length: 7\r\nEtag: \"x\"\r\n\r\n", 304, "", 0},
		"a redirect":      {"GET", "HTTP/1.1 302 There\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 302, "", 0},
		"1xx before":      {"GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 299 Fine\r\nContent-Length: 1\r\n\r\nx", 299, "x", 1},
		"gzip":            {"GET", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 200, "abc", 3},
	} {
		t.Run(name, func(t *testing.T) {
			g := open(t, raw(t, func(c net.Conn, r *bufio.Reader) {
				header(r)
				_, _ = io.WriteString(c, test.response)
			}), nil)
			c := g.dial().send(test.method + " /r/ HTTP/1.1\r\nHost: x\r\n\r\n")
			res, body := c.whole(test.method)
			if res.StatusCode != test.status || body != test.body || res.ContentLength != test.length {
				t.Errorf("got %d %q, length %d", res.StatusCode, body, res.ContentLength)
			}
			// The connection is still good.
			c.send("GET /none HTTP/1.1\r\nHost: x\r\n\r\n")
			if res, _ := c.whole("GET"); res.StatusCode != 404 {
				t.Errorf("next request: %d", res.StatusCode)
			}
		})
	}
}

func TestTrailersArePassedBothWays(t *testing.T) {
	g := open(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Back")
		fmt.Fprint(w, "body")
		w.Header().Set("X-Back", r.Trailer.Get("X-There")+" and back")
	}), nil)
	c := g.dial().send("POST /r/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-There\r\n\r\n1\r\nx\r\n0\r\nX-There: there\r\n\r\n")
	res, body := c.whole("POST")
	if body != "body" || res.Trailer.Get("X-Back") != "there and back" {
		t.Errorf("got %q, trailer %v", body, res.Trailer)
	}
}

// Connections are used again, and one that was closed meanwhile costs nobody.
func TestConnectionsAreKept(t *testing.T) {
	var conns atomic.Int32
	url := raw(t, func(c net.Conn, r *bufio.Reader) {
		conns.Add(1)
		for range 3 { // and then it closes, without a word
			if header(r) == "" {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	g := open(t, url, nil)
	c := g.dial()
	for i := range 9 {
		method := []string{"GET", "POST"}[i%2]
		res, body := c.send(method + " /r/ HTTP/1.1\r\nHost: x\r\n\r\n").whole(method)
		if res.StatusCode != 200 || body != "ok" {
			// A POST may meet the close on its way; it must not be sent twice.
			if method == "POST" && res.StatusCode == 502 {
				continue
			}
			t.Fatalf("request %d: %d %q; log:\n%s", i, res.StatusCode, body, g.log.Take())
		}
	}
	if n := conns.Load(); n < 3 || n > 5 {
		t.Errorf("9 requests, 3 for each connection, took %d connections", n)
	}
}

// The header of a request is read and then the connection closed: only what may
// be repeated is.
func TestOnlySafeRequestsAreSentAgain(t *testing.T) {
	for _, test := range []struct {
		request string
		status  int
	}{
		{"GET /r/ HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		{"DELETE /r/ HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		{"POST /r/ HTTP/1.1\r\nHost: x\r\n\r\n", 502},
		{"PUT /r/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", 502},
	} {
		var conns atomic.Int32
		g := open(t, raw(t, func(c net.Conn, r *bufio.Reader) {
			header(r)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			if conns.Add(1) == 1 {
				header(r)
			}
		}), nil)
		c := g.dial()
		c.send(getR).whole("GET")
		method, _, _ := strings.Cut(test.request, " ")
		if res, _ := c.send(test.request).whole(method); res.StatusCode != test.status {
			t.Errorf("%q: %d", test.request, res.StatusCode)
		}
	}
}

// What a handler before has found out reaches the upstream, whatever the client
// says of its connection.
func TestAHandlersFieldsArePassedOn(t *testing.T) {
	got := make(chan string, 1)
	url := raw(t, func(c net.Conn, r *bufio.Reader) {
		got <- header(r)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	g := openBehind(t, url, nil, func(h exchange.Handler) exchange.Handler {
		return handlerFunc(func(ctx context.Context, x exchange.Exchange) error {
			_ = x.Header(exchange.Request).Set([]byte("X-User"), []byte("ada"))
			return h.Serve(ctx, x)
		})
	})
	g.dial().send("GET /r/ HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, x-user, X-Other\r\nX-User: bob\r\nX-Other: 1\r\n\r\n").whole("GET")
	if h := <-got; !strings.Contains(h, "X-User: ada\r\n") || strings.Contains(h, "bob") || strings.Contains(h, "X-Other") {
		t.Errorf("the upstream got\n%s", h)
	}
}

// localExchange has come by a Unix socket.
type localExchange struct{ exchange.Exchange }

func (localExchange) RemoteAddr() string { return "@" }

// A proxy before this one says whom it speaks for.
func TestAClientByAUnixSocketIsTrusted(t *testing.T) {
	got := make(chan string, 1)
	url := raw(t, func(c net.Conn, r *bufio.Reader) {
		got <- header(r)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	g := openBehind(t, url, nil, func(h exchange.Handler) exchange.Handler {
		return handlerFunc(func(ctx context.Context, x exchange.Exchange) error { return h.Serve(ctx, localExchange{x}) })
	})
	g.dial().send("GET /r/ HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\r\n").whole("GET")
	if h := <-got; !strings.Contains(h, "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n") || strings.Count(h, "X-Forwarded") != 2 {
		t.Errorf("the upstream got\n%s", h)
	}
}
