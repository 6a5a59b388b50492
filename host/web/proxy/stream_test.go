package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apphost/apphost/host/exchange"
)

// Each piece comes back before the next one is sent.
func TestAnEchoStreamsBothWays(t *testing.T) {
	g := open(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			_ = http.NewResponseController(w).Flush()
			if err != nil {
				return
			}
		}
	}), nil)
	c := g.dial().send("POST /r/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
	res := c.response("POST")
	for _, next := range []string{"two", "six", ""} {
		got := make([]byte, 3)
		if _, err := io.ReadFull(res.Body, got); err != nil {
			t.Fatal(err)
		}
		if next != "" {
			c.send("3\r\n" + next + "\r\n")
		}
	}
	c.send("0\r\n\r\n")
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
		t.Errorf("at the end: %q, %v", rest, err)
	}
	if res, _ := c.send(getR).whole("GET"); res.StatusCode != 200 {
		t.Errorf("the next request: %d", res.StatusCode)
	}
}

// An answer that needs no more of the body is passed on at once.
func TestAnEarlyAnswerIsPassedOn(t *testing.T) {
	g := open(t, raw(t, func(c net.Conn, r *bufio.Reader) {
		header(r)
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nless")
		_, _ = io.CopyN(io.Discard, r, 1)
	}), nil)
	c := g.dial().send("POST /r/ HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\nx")
	if res, body := c.whole("POST"); res.StatusCode != 413 || body != "less" {
		t.Errorf("got %d %q", res.StatusCode, body)
	}
	if rest := c.rest(); rest != "" {
		t.Errorf("then came %q", rest)
	}
}

// A client is asked for its body when the upstream has asked, and not if it has
// refused.
func TestTheBodyIsAskedFor(t *testing.T) {
	for _, test := range []struct{ upstream, first string }{
		{"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"},
		{"", "HTTP/1.1 100 Continue\r\n\r\n"}, // one that does not know of it
		{"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 401 Unauthorized\r\n"},
	} {
		g := open(t, raw(t, func(c net.Conn, r *bufio.Reader) {
			if !strings.Contains(header(r), "Expect: 100-continue\r\n") {
				t.Error("the expectation was not passed on")
			}
			_, _ = io.WriteString(c, test.upstream)
			body := make([]byte, 4)
			if _, err := io.ReadFull(r, body); err == nil {
				_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%s", body)
			}
		}), nil)
		c := g.dial().send("POST /r/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
		c.exactly(test.first)
		if strings.Contains(test.first, "100") {
			if res, body := c.send("body").whole("POST"); res.StatusCode != 200 || body != "body" {
				t.Errorf("after %q: %d %q", test.upstream, res.StatusCode, body)
			}
		}
	}
}

func TestEventsComeAsTheyAreSent(t *testing.T) {
	next := make(chan string)
	g := open(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		for e := range next {
			_, _ = fmt.Fprintf(w, "data: %s\n\n", e)
			_ = http.NewResponseController(w).Flush()
		}
	}), nil)
	c := g.dial().send(getR)
	res := c.response("GET") // before the first event
	events := bufio.NewReader(res.Body)
	for _, e := range []string{"one", "two"} {
		next <- e
		if line, err := events.ReadString('\n'); line != "data: "+e+"\n" {
			t.Fatalf("got %q, %v", line, err)
		}
		_, _ = events.ReadString('\n')
	}
	close(next)
	if rest, err := io.ReadAll(events); err != nil || len(rest) > 0 {
		t.Errorf("at the end: %q, %v", rest, err)
	}
}

// Who waits for an answer in vain, or for the next event, can go.
func TestAClientThatGoesEndsTheRequest(t *testing.T) {
	for name, begun := range map[string]bool{"before the response": false, "within it": true} {
		t.Run(name, func(t *testing.T) {
			there, gone := make(chan bool, 1), make(chan bool, 1)
			g := open(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
				if begun {
					_ = http.NewResponseController(w).Flush()
				}
				there <- true
				select {
				case <-r.Context().Done():
					gone <- true
				case <-time.After(patience):
					gone <- false
				}
			}), nil)
			c := g.dial().send(getR)
			<-there
			_ = c.Close()
			if !<-gone {
				t.Error("the upstream was not told")
			}
		})
	}
}

func TestManyBytesNeedLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 120 MB")
	}
	const total = 60 << 20 // each way
	g := open(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	}), nil)
	var peak atomic.Uint64
	source := &pattern{left: total, each: func() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak.Store(max(peak.Load(), m.HeapInuse))
	}}
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	res, err := http.Post("http://"+g.addr+"/r/", "", source)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	if err != nil || n != total {
		t.Errorf("%d bytes came back of %d: %v", n, total, err)
	}
	if grown := int64(peak.Load()) - int64(before.HeapInuse); grown > 16<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

// pattern is a long body.
type pattern struct {
	left int
	each func()
	n    int
}

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	if p.n++; p.n%200 == 0 {
		p.each()
	}
	n := min(len(b), p.left)
	p.left -= n
	return n, nil
}

func TestManyAtATime(t *testing.T) {
	g := open(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	}), nil)
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	defer transport.CloseIdleConnections()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 25 {
				text := strings.Repeat(fmt.Sprintf("%d-%d ", i, j), 1+j*300)
				// Without a length half of the time.
				var body io.Reader = strings.NewReader(text)
				if j%2 == 0 {
					body = io.MultiReader(body)
				}
				req, _ := http.NewRequest("POST", "http://"+g.addr+"/r/", body)
				res, err := transport.RoundTrip(req)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if err != nil || string(got) != text || res.StatusCode != 200 {
					t.Errorf("%d: %d of %d bytes, %v", res.StatusCode, len(got), len(text), err)
				}
			}
		})
	}
	all.Wait()
}

// plainExchange hides what an exchange can do besides.
type plainExchange struct{ exchange.Exchange }

// An exchange that one goroutine uses gets its body sent first.
func TestAnExchangeForOneGoroutine(t *testing.T) {
	g := openBehind(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%d %s", r.ContentLength, body)
	}), nil, func(h exchange.Handler) exchange.Handler {
		return handlerFunc(func(ctx context.Context, x exchange.Exchange) error { return h.Serve(ctx, plainExchange{x}) })
	})
	c := g.dial().send("POST /r/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbodyGET /r/ HTTP/1.1\r\nHost: x\r\n\r\n")
	for _, want := range []string{"4 body", "0 "} {
		if res, body := c.whole("GET"); res.StatusCode != 200 || body != want {
			t.Errorf("got %d %q, want %q", res.StatusCode, body, want)
		}
	}
}

type handlerFunc func(ctx context.Context, x exchange.Exchange) error

func (f handlerFunc) Serve(ctx context.Context, x exchange.Exchange) error { return f(ctx, x) }
