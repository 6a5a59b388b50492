package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/internal/hosttest"
)

// pieces writes each of its pieces, and between two of them waits for step.
func pieces(step chan struct{}, pieces ...string) exchange.Handler {
	return handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		for i, p := range pieces {
			if _, err := x.Write([]byte(p)); err != nil {
				return err
			}
			if i > 0 && step != nil {
				<-step
			}
		}
		return nil
	})
}

func TestSecondWriteStreams(t *testing.T) {
	step := make(chan struct{})
	f := mount(t, pieces(step, "one", "two", "", "three"))
	r, err := http.Get("http://" + f.addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	if r.ContentLength != -1 || len(r.TransferEncoding) != 1 {
		t.Errorf("got length %d, %v", r.ContentLength, r.TransferEncoding)
	}
	read := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(r.Body, got); err != nil || string(got) != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
	read("onetwo") // while the handler waits
	step <- struct{}{}
	step <- struct{}{}
	read("three")
	step <- struct{}{}
	if n, err := r.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("at the end: got %d, %v", n, err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestEmptyWriteFlushes(t *testing.T) {
	step := make(chan struct{})
	f := mount(t, pieces(step, "one", "", "two"))
	c := f.dial().send(get("/"))
	for c.line() != "" {
	}
	if size, data := c.line(), c.line(); size != "3" || data != "one" {
		t.Errorf("got %q %q", size, data)
	}
	step <- struct{}{}
	step <- struct{}{}
	if got := c.line() + c.line() + c.line() + c.line(); got != "3two0" {
		t.Errorf("got %q", got)
	}
}

func TestStreamFraming(t *testing.T) {
	whole := strings.Repeat("0123456789abcdef", 5000)
	for _, tc := range []struct {
		name, request, declared string
		header, body            string // of the response, after the status line and Date
		keepAlive               bool
	}{
		{"chunked", "GET / HTTP/1.1\r\nHost: a", "", "Transfer-Encoding: chunked", "2\r\nab\r\n13880\r\n" + whole + "\r\n0\r\n\r\n", true},
		{"length", "GET / HTTP/1.1\r\nHost: a", "80002", "Content-Length: 80002", "ab" + whole, true},
		{"close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Foo, Close", "80002", "Content-Length: 80002|Connection: close", "ab" + whole, false},
		{"1.0", "GET / HTTP/1.0", "", "Connection: close", "ab" + whole, false},
		{"1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive", "", "Connection: close", "ab" + whole, false},
		{"1.0 keep-alive with length", "GET / HTTP/1.0\r\nConnection: keep-alive", "80002", "Content-Length: 80002|Connection: keep-alive", "ab" + whole, true},
		{"head", "HEAD / HTTP/1.1\r\nHost: a", "", "", "", true},
		{"head with length", "HEAD / HTTP/1.1\r\nHost: a", "80002", "Content-Length: 80002", "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
				if tc.declared != "" {
					_ = x.Header(exchange.Response).Set([]byte("Content-Length"), []byte(tc.declared))
				}
				for _, p := range []string{"ab", whole} {
					if _, err := x.Write([]byte(p)); err != nil {
						return err
					}
				}
				if err := x.SetStatus(201); !errors.Is(err, exchange.ErrSent) {
					t.Errorf("SetStatus: %v", err)
				}
				h := x.Header(exchange.Response)
				for _, err := range []error{h.Set([]byte("a"), nil), h.Add([]byte("a"), nil), h.Remove([]byte("a"))} {
					if !errors.Is(err, exchange.ErrSent) {
						t.Errorf("change of header: %v", err)
					}
				}
				return nil
			}))
			c := f.dial()
			for range 2 {
				c.send(tc.request + "\r\n\r\n")
				if got := c.line(); got != "HTTP/1.1 200 OK" {
					t.Fatalf("got %q", got)
				}
				var header []string
				for line := c.line(); line != ""; line = c.line() {
					if !strings.HasPrefix(line, "Date: ") {
						header = append(header, line)
					}
				}
				if got := strings.Join(header, "|"); got != tc.header {
					t.Errorf("header: got %q, want %q", got, tc.header)
				}
				if !tc.keepAlive {
					if got := c.rest(); got != tc.body {
						t.Errorf("body: got %d bytes, want %d", len(got), len(tc.body))
					}
					return
				}
				got := make([]byte, len(tc.body))
				if _, err := io.ReadFull(c.r, got); err != nil || string(got) != tc.body {
					t.Fatalf("body: got %d bytes %.20q, %v", len(got), got, err)
				}
			}
		})
	}
}

func TestFailedStreamIsCutOff(t *testing.T) {
	for _, tc := range []struct {
		name, declared string
		fail           bool
	}{
		{"handler failed", "", true},
		{"handler failed within length", "100", true},
		{"handler ended before its length", "100", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
				if tc.declared != "" {
					_ = x.Header(exchange.Response).Set([]byte("Content-Length"), []byte(tc.declared))
				}
				_, _ = x.Write([]byte("ab"))
				_, _ = x.Write([]byte("cd"))
				if tc.fail {
					return errors.New("failed")
				}
				return nil
			}))
			r, err := http.Get("http://" + f.addr + "/")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.Body.Close() }()
			if body, err := io.ReadAll(r.Body); string(body) != "abcd" || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("got %q, %v", body, err)
			}
		})
	}
}

// A handler that goes over its Content-Length is told, and if it does not care,
// the log is.
func TestMoreThanLengthIsRefused(t *testing.T) {
	logger, log := hosttest.Logger()
	f := serve(t, Config{Logger: logger, Mounts: []Mount{{Path: "/", Name: "test", Handler: handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		_ = x.Header(exchange.Response).Set([]byte("Content-Length"), []byte("4"))
		_, _ = x.Write([]byte("ab"))
		_, _ = x.Write([]byte("cd"))
		if _, err := x.Write([]byte("e")); !errors.Is(err, exchange.ErrLength) {
			t.Errorf("got %v", err)
		}
		return nil
	})}}})
	c := f.dial()
	if _, body := c.send(get("/")).response("GET"); body != "abcd" || c.rest() != "" {
		t.Errorf("got %q", body)
	}
	if got := log.Take(); strings.Count(got, "ERROR") != 1 || !strings.Contains(got, "it has 5 bytes or more, and not 4") {
		t.Errorf("logged %s", got)
	}
}

// Where nothing of it was sent yet, it is answered for.
func TestMoreThanLengthAtOnceIsAnError(t *testing.T) {
	f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		_ = x.Header(exchange.Response).Set([]byte("Content-Length"), []byte("3"))
		_, _ = x.Write([]byte("ab"))
		_, err := x.Write([]byte("cd"))
		return err
	}))
	c := f.dial()
	for range 2 {
		if r, _ := c.send(get("/")).response("GET"); r.StatusCode != 500 {
			t.Errorf("got %d", r.StatusCode)
		}
		if r, _ := c.send(strings.Replace(get("/"), "GET", "HEAD", 1)).response("HEAD"); r.StatusCode != 200 || r.ContentLength != 3 {
			t.Errorf("HEAD got %d", r.StatusCode)
		}
	}
}

func TestClientGoesAwayMidStream(t *testing.T) {
	gone := make(chan struct{})
	ended := make(chan error, 1)
	f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		_, _ = x.Write([]byte("ab"))
		_, err := x.Write([]byte("cd"))
		<-gone
		piece := make([]byte, 1<<10)
		for err == nil {
			_, err = x.Write(piece)
		}
		_, again := x.Write(piece)
		ended <- errors.Join(err, again)
		return err
	}))
	c := f.dial().send(get("/"))
	for c.line() != "" {
	}
	_ = c.SetLinger(0)
	_ = c.Close()
	close(gone)
	if err := <-ended; err == nil {
		t.Error("writes went on")
	}
	<-f.done
}

func TestPipelinedStreamsKeepTheirOrder(t *testing.T) {
	f := serve(t, Config{Mounts: []Mount{
		{Path: "/held", Handler: say("held")},
		{Path: "/byte", Handler: say("b")},
		{Path: "/stream", Handler: pieces(nil, "s", "t")},
		{Path: "/head", Handler: pieces(nil, "s", "t")},
	}})
	order := []string{"/held", "/stream", "/byte", "/stream", "/stream", "/held", "/byte", "/byte", "/none", "/stream", "/held"}
	want := map[string]string{"/held": "held", "/byte": "b", "/stream": "st", "/none": "404 Not Found\n"}
	c := f.dial()
	var all strings.Builder
	for _, path := range order {
		all.WriteString(get(path))
	}
	c.send(all.String())
	for i, path := range order {
		if _, body := c.response("GET"); body != want[path] {
			t.Fatalf("response %d: got %q, want %q", i, body, want[path])
		}
	}
}

func TestResponseTrailers(t *testing.T) {
	for _, more := range []string{"", "more"} {
		f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
			_, _ = x.Write([]byte("body"))
			if more != "" {
				_, _ = x.Write([]byte(more))
			}
			h := x.Header(exchange.ResponseTrailers)
			if err := h.Set([]byte("Content-Length"), []byte("1")); !errors.Is(err, exchange.ErrInvalid) {
				t.Errorf("forbidden trailer: %v", err)
			}
			return h.Set([]byte("X-Sum"), []byte("9"))
		}))
		c := f.dial()
		for range 2 {
			r, body := c.send(get("/")).response("GET")
			if body != "body"+more || r.Trailer.Get("X-Sum") != "9" {
				t.Errorf("got %q %v", body, r.Trailer)
			}
		}
		if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if got := c.rest(); !strings.HasSuffix(got, "\r\n\r\nbody"+more) {
			t.Errorf("1.0: got %q", got)
		}
	}
}
