package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/apphost/apphost/host/exchange"
)

func TestExchangeIsTheRequest(t *testing.T) {
	f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		var b strings.Builder
		b.WriteString(string(x.Method()) + " " + string(x.URI()) + " " + x.Protocol() + "\n")
		h := x.Header(exchange.Request)
		h.Names(func(name []byte) bool {
			b.Write(name)
			h.Values(name, func(value []byte) bool {
				b.WriteString("=" + string(value))
				return true
			})
			b.WriteString("\n")
			return true
		})
		body, err := io.ReadAll(x.Body())
		b.WriteString(string(body) + "\n")
		h = x.Header(exchange.RequestTrailers)
		h.Names(func(name []byte) bool { b.WriteString("trailer " + string(name) + "\n"); return true })
		_, _ = x.Write([]byte(b.String()))
		return err
	}))
	c := f.dial()
	_, got := c.send("PUT /a%20b?c=d HTTP/1.1\r\nHost: h\r\nx-one: 1 \r\nX-Two:2\r\nX-ONE:\r\nTransfer-Encoding: chunked\r\n\r\n" +
		"3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n").response("PUT")
	if want := "PUT /a%20b?c=d HTTP/1.1\nHost=h\nx-one=1=\nX-Two=2\nTransfer-Encoding=chunked\nabcdefg\ntrailer X-Sum\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, got := c.send("GET / HTTP/1.0\r\n\r\n").response("GET"); got != "GET / HTTP/1.0\n\n" {
		t.Errorf("got %q", got)
	}
}

func TestRemoteAddr(t *testing.T) {
	f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		_, err := x.Write([]byte(x.RemoteAddr()))
		return err
	}))
	c := f.dial()
	if _, got := c.send(get("/")).response("GET"); got != c.LocalAddr().String() {
		t.Errorf("got %q, want %q", got, c.LocalAddr())
	}
}

func TestResponseHeader(t *testing.T) {
	f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		h := x.Header(exchange.Response)
		set := func(change func(name, value []byte) error, name, value string, want error) {
			if err := change([]byte(name), []byte(value)); !errors.Is(err, want) {
				t.Errorf("%q: %q: got %v, want %v", name, value, err, want)
			}
		}
		set(h.Add, "Set-Cookie", "a=1", nil)
		set(h.Add, "set-cookie", "b=2; Path=/", nil)
		set(h.Set, "ETag", " \"x\" ", nil)
		set(h.Set, "X-Gone", "1", nil)
		set(h.Set, "Cache-Control", "no-store", nil)
		set(h.Set, "x-many", "1", nil)
		set(h.Add, "X-Many", "2", nil)
		set(h.Set, "X-Many", "3", nil)
		set(h.Set, "Transfer-Encoding", "chunked", nil)
		set(h.Set, "Keep-Alive", "timeout=1", nil)
		set(h.Set, "Content-Length", "999", nil)
		for _, bad := range []string{"", "a b", "a:", "a\r\nb", "a\x00", "ä"} {
			set(h.Set, bad, "v", exchange.ErrInvalid)
			set(h.Add, bad, "v", exchange.ErrInvalid)
		}
		for _, bad := range []string{"a\rb", "a\nb", "a\r\nEvil: 1", "\x00", "\x7f"} {
			set(h.Set, "X-Bad", bad, exchange.ErrInvalid)
			set(h.Add, "Connection", bad, exchange.ErrInvalid)
		}
		for _, bad := range []string{"", "-1", "1x", "+1", "99999999999999999999"} {
			set(h.Set, "Content-Length", bad, exchange.ErrInvalid)
		}
		set(func(name, _ []byte) error { return h.Remove(name) }, "x-GONE", "", nil)
		for _, code := range []int{0, 100, 199, 1000} {
			if err := x.SetStatus(code); !errors.Is(err, exchange.ErrInvalid) {
				t.Errorf("status %d: got %v", code, err)
			}
		}
		if err := x.SetStatus(299); err != nil || x.Status() != 299 {
			t.Errorf("status: got %d, %v", x.Status(), err)
		}
		_, err := x.Write([]byte("body"))
		return err
	}))
	c := f.dial()
	c.send(get("/"))
	raw := map[string]int{}
	if status := c.line(); !strings.HasPrefix(status, "HTTP/1.1 299 ") {
		t.Errorf("got %q", status)
	}
	for line := c.line(); line != ""; line = c.line() {
		if strings.HasPrefix(line, "Date: ") {
			if _, err := http.ParseTime(line[6:]); err != nil {
				t.Error(err)
			}
			line = "Date"
		}
		raw[line]++
	}
	for _, want := range []string{
		"Date", "Set-Cookie: a=1", "Set-Cookie: b=2; Path=/", `ETag: "x"`, "Cache-Control: no-store", "x-many: 3", "Content-Length: 4",
	} {
		if raw[want] != 1 {
			t.Errorf("%q is there %d times", want, raw[want])
		}
		delete(raw, want)
	}
	if len(raw) > 0 {
		t.Errorf("more than was set: %v", raw)
	}
}

func TestHeaderMemoryIsBounded(t *testing.T) {
	f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		value := []byte(strings.Repeat("v", 1000))
		for range 1000 {
			if err := x.Header(exchange.Response).Add([]byte("X"), value); err != nil {
				return err
			}
		}
		return nil
	}))
	if r, _ := f.dial().send(get("/")).response("GET"); r.StatusCode != 500 {
		t.Errorf("got %d", r.StatusCode)
	}
}

func TestHeaderSetAgainAndAgain(t *testing.T) {
	var b block
	for i := range 1000 {
		for _, err := range []error{
			b.set([]byte("X-Same"), []byte(strings.Repeat("v", 900+i%200))),
			b.add([]byte("X-Gone"), []byte(strings.Repeat("v", 1000))),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if i < 999 {
			b.remove([]byte("x-gone"))
		}
	}
	if cap(b.arena) > 20<<10 {
		t.Errorf("%d bytes are held", cap(b.arena))
	}
	var got []string
	b.Names(func(name []byte) bool {
		b.Values(name, func(value []byte) bool {
			got = append(got, string(name)+"="+string(value))
			return true
		})
		return true
	})
	want := []string{"X-Same=" + strings.Repeat("v", 900+199), "X-Gone=" + strings.Repeat("v", 1000)}
	if !slices.Equal(got, want) {
		t.Errorf("got %.60q", got)
	}
	// All that counts is what is there.
	b.reset()
	large := []byte(strings.Repeat("v", blockBytesMax-100))
	for range 3 {
		if err := b.set([]byte("X"), large); err != nil {
			t.Error(err)
		}
	}
	if err := b.add([]byte("Y"), large); err == nil {
		t.Error("twice the limit was taken")
	}
}

func TestManyNamesComeOnce(t *testing.T) {
	var b block
	var want []string
	for i := range 3 * fewFields {
		name := "X-" + decimal(i)
		want = append(want, name)
		for _, n := range []string{name, "x-0", strings.ToLower(name)} {
			if err := b.add([]byte(n), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got []string
	b.Names(func(name []byte) bool { got = append(got, string(name)); return true })
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	n := 0
	b.Names(func([]byte) bool { n++; return n < 2 })
	if n != 2 {
		t.Errorf("went on: %d", n)
	}
}

func TestAuthority(t *testing.T) {
	f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		_, _ = x.Write(x.URI())
		x.Header(exchange.Request).Values([]byte("host"), func(value []byte) bool {
			_, _ = x.Write(append([]byte(" "), value...))
			return true
		})
		return nil
	}))
	c := f.dial()
	for target, want := range map[string]string{
		"/c": "/c a.example:80", "http://b": "/ b", "HTTPS://b:8443/c?d": "/c?d b:8443",
		"http://b?d": "/?d b", "http://[::1]:80/": "/ [::1]:80", "http://b_1.x-y:/c": "/c b_1.x-y:",
	} {
		if r, got := c.send("GET " + target + " HTTP/1.1\r\nHost: a.example:80\r\n\r\n").response("GET"); got != want {
			t.Errorf("%s: got %d %q, want %q", target, r.StatusCode, got, want)
		}
	}
}

func TestLengthOfHeldResponse(t *testing.T) {
	for _, tc := range []struct {
		name, method, body, declared string
		status                       int
		length, got                  string
	}{
		{"body", "GET", "hello", "", 200, "5", "hello"},
		{"one byte", "GET", "x", "", 200, "1", "x"},
		{"one byte, wrong length", "GET", "x", "7", 200, "1", "x"},
		{"nothing", "GET", "", "", 200, "0", ""},
		{"wrong length", "GET", "hello", "7", 200, "5", "hello"},
		{"head", "HEAD", "hello", "", 200, "5", ""},
		{"head, one byte", "HEAD", "x", "", 200, "1", ""},
		{"head, declared", "HEAD", "", "7", 200, "7", ""},
		{"no content", "GET", "hello", "5", 204, "", ""},
		{"not modified", "GET", "", "5", 304, "5", ""},
		{"not modified with body", "GET", "hello", "", 304, "", ""},
		{"large", "GET", strings.Repeat("x", 1<<20), "", 200, "1048576", strings.Repeat("x", 1<<20)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
				if tc.declared != "" {
					_ = x.Header(exchange.Response).Set([]byte("content-length"), []byte(tc.declared))
				}
				_ = x.SetStatus(tc.status)
				_, err := x.Write([]byte(tc.body))
				return err
			}))
			c := f.dial()
			for range 2 { // the connection lives on
				r, got := c.send(tc.method + " / HTTP/1.1\r\nHost: a\r\n\r\n").response(tc.method)
				if r.StatusCode != tc.status || r.Header.Get("Content-Length") != tc.length || got != tc.got || len(r.TransferEncoding) > 0 {
					t.Errorf("got %d, length %q, %d bytes, %v", r.StatusCode, r.Header.Get("Content-Length"), len(got), r.TransferEncoding)
				}
			}
		})
	}
}

func TestFailedHandlerIs500(t *testing.T) {
	f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		_ = x.Header(exchange.Response).Set([]byte("X-Secret"), []byte("1"))
		_, _ = x.Write([]byte("secret"))
		return errors.New("secret cause")
	}))
	c := f.dial()
	for range 2 {
		r, body := c.send(get("/")).response("GET")
		if r.StatusCode != 500 || body != "500 Internal Server Error\n" || r.Header.Get("X-Secret") != "" || r.Close {
			t.Errorf("got %d %q %v", r.StatusCode, body, r.Header)
		}
	}
}

func TestServerName(t *testing.T) {
	f := serve(t, Config{Name: "apphost", Mounts: []Mount{{Path: "/", Handler: say("x")}}})
	if r, _ := f.dial().send(get("/")).response("GET"); r.Header.Get("Server") != "apphost" {
		t.Errorf("got %v", r.Header)
	}
	if r, _ := mount(t, say("x")).dial().send(get("/")).response("GET"); r.Header["Server"] != nil {
		t.Errorf("got %v", r.Header)
	}
}
