//go:build !wasip1

package web_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/apphost/apphost/sdk/web"
	"github.com/apphost/apphost/sdk/web/webtest"
)

// do answers one request with h.
func do(r *http.Request, h func(*web.Response, *web.Request)) *http.Response {
	got := httptest.NewRecorder()
	webtest.Handler(h).ServeHTTP(got, r)
	return got.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRequestLineAndHeader(t *testing.T) {
	r := httptest.NewRequest("PUT", "/a%20b/c?x=1&x=2&y=%26", nil)
	r.Header.Add("X-One", "1")
	r.Header.Add("X-One", "2")
	r.Header.Set("Cookie", `a=1; b="two words"; a=3`)
	got := body(t, do(r, func(w *web.Response, r *web.Request) {
		b, _ := r.Cookie("b")
		a, _ := r.Cookie("a")
		_, c := r.Cookie("c")
		fmt.Fprintln(w, r.Method(), r.Path(), r.URI(), r.Protocol(), r.RemoteAddr())
		fmt.Fprintln(w, r.Query()["x"], r.Query().Get("y"))
		fmt.Fprintln(w, r.Header("x-one"), r.HeaderValues("X-ONE"), r.Header("x-none") == "", r.HeaderNames())
		fmt.Fprintln(w, a, b, c)
	}))
	want := `PUT /a b/c /a%20b/c?x=1&x=2&y=%26 HTTP/1.1 192.0.2.1:1234
[1 2] &
1 [1 2] true [Cookie X-One]
1 two words false
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestForm(t *testing.T) {
	tests := []struct {
		name, kind, body, want string
		err                    string
	}{
		{"fields", "application/x-www-form-urlencoded; charset=utf-8", "a=1&b=x+y&a=2", "map[a:[1 2] b:[x y]]", ""},
		{"another type", "text/plain", "a=1", "map[]", web.ErrNotForm.Error()},
		{"no type", "", "a=1", "map[]", web.ErrNotForm.Error()},
		{"not valid", "application/x-www-form-urlencoded", "a=1&b=%zz", "map[a:[1]]", `parse form: invalid URL escape "%zz"`},
		{"too long", "application/x-www-form-urlencoded", "a=" + strings.Repeat("x", web.FormBytesMax), "map[]", web.ErrFormTooLong.Error()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", strings.NewReader(test.body))
			r.Header.Set("Content-Type", test.kind)
			do(r, func(_ *web.Response, r *web.Request) {
				for range 2 { // the second gives what the first gave
					got, err := r.Form()
					if fmt.Sprint(got) != test.want {
						t.Errorf("got %v, want %s", got, test.want)
					}
					if (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
						t.Errorf("got error %v, want %q", err, test.err)
					}
				}
			})
		})
	}
}

func TestBodyIsAReader(t *testing.T) {
	r := httptest.NewRequest("POST", "/", strings.NewReader(`{"n": 3}`))
	do(r, func(_ *web.Response, r *web.Request) {
		var v struct{ N int }
		if err := json.NewDecoder(r).Decode(&v); err != nil || v.N != 3 {
			t.Errorf("got %+v, %v", v, err)
		}
		if rest, err := io.ReadAll(r); err != nil || len(rest) != 0 {
			t.Errorf("after the end: %q, %v", rest, err)
		}
	})
}

func TestResponse(t *testing.T) {
	get := func() *http.Request { return httptest.NewRequest("GET", "/", nil) }

	r := do(get(), func(w *web.Response, _ *web.Request) { w.WriteString("plain") })
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/plain; charset=utf-8" || body(t, r) != "plain" {
		t.Errorf("defaults: got %v", r)
	}
	r = do(get(), func(w *web.Response, _ *web.Request) {
		w.SetHeader("Content-Type", "text/html")
		w.WriteString("half a page")
		w.Error(404, "no such page")
	})
	if r.StatusCode != 404 || r.Header.Get("Content-Type") != "text/plain; charset=utf-8" || body(t, r) != "no such page\n" {
		t.Errorf("error: got %v", r)
	}
	r = do(get(), func(w *web.Response, _ *web.Request) {
		w.WriteString("dropped")
		w.Redirect(303, "../x")
	})
	if r.StatusCode != 303 || r.Header.Get("Location") != "../x" || body(t, r) != "" {
		t.Errorf("redirect: got %v", r)
	}
}

// Bodies around the buffer's size arrive whole and in order, however they are
// written.
func TestBodiesOfAllSizes(t *testing.T) {
	for _, size := range []int{0, 1, 8<<10 - 1, 8 << 10, 8<<10 + 1, 100_000} {
		for _, piece := range []int{1, 1000, 8 << 10, 8<<10 + 1} {
			want := strings.Repeat("0123456789", size/10+1)[:size]
			r := do(httptest.NewRequest("GET", "/", nil), func(w *web.Response, _ *web.Request) {
				for i := 0; i < size; i += piece {
					if part := want[i:min(i+piece, size)]; i%2 == 0 {
						w.WriteString(part)
					} else {
						w.Write([]byte(part))
					}
				}
			})
			if got := body(t, r); got != want {
				t.Errorf("size %d in pieces of %d: got %d bytes", size, piece, len(got))
			}
		}
	}
}

// The client has a flushed part while the handler still runs.
func TestFlush(t *testing.T) {
	for _, first := range []string{"one\n", strings.Repeat("x", 9000) + "\n"} {
		seen := make(chan struct{})
		s := httptest.NewServer(webtest.Handler(func(w *web.Response, _ *web.Request) {
			w.WriteString(first)
			w.Flush()
			<-seen
			w.WriteString("two\n")
			w.Flush()
			<-seen
			w.WriteString("three\n")
		}))
		r, err := http.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(r.Body)
		for _, want := range []string{first, "two\n"} {
			if got, err := in.ReadString('\n'); err != nil || got != want {
				t.Fatalf("got %q, %v", got, err)
			}
			seen <- struct{}{}
		}
		if rest, err := io.ReadAll(in); err != nil || string(rest) != "three\n" {
			t.Errorf("got %q, %v", rest, err)
		}
		r.Body.Close()
		s.Close()
	}
}

func TestSetCookie(t *testing.T) {
	tests := []struct {
		cookie web.Cookie
		want   string // empty: refused
	}{
		{web.Cookie{Name: "a", Value: "1"}, "a=1; HttpOnly; SameSite=Lax"},
		{
			web.Cookie{Name: "a", Value: url.QueryEscape("x; y"), Path: "/p", MaxAge: 60, Secure: true, ScriptAccess: true, CrossSite: "None"},
			"a=x%3B+y; Path=/p; Max-Age=60; Secure; SameSite=None",
		},
		{web.Cookie{Name: "a", MaxAge: -1}, "a=; Max-Age=0; HttpOnly; SameSite=Lax"},
		{web.Cookie{Name: "", Value: "1"}, ""},
		{web.Cookie{Name: "a b", Value: "1"}, ""},
		{web.Cookie{Name: "a", Value: "1; Path=/"}, ""},
		{web.Cookie{Name: "a", Value: "1\r\nX: y"}, ""},
		{web.Cookie{Name: "a", Value: "ü"}, ""},
		{web.Cookie{Name: "a", Path: "/; Secure"}, ""},
		{web.Cookie{Name: "a", CrossSite: "lax"}, ""},
	}
	for _, test := range tests {
		var err error
		r := do(httptest.NewRequest("GET", "/", nil), func(w *web.Response, _ *web.Request) { err = w.SetCookie(test.cookie) })
		if got := r.Header.Get("Set-Cookie"); got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%+v: got %q, %v, want %q", test.cookie, got, err, test.want)
		}
	}
}

func TestConfig(t *testing.T) {
	if got := web.Config(); len(got) != 0 {
		t.Errorf("got %q, want nothing", got)
	}
	webtest.Config(t, `{"a":1}`)
	if got := string(web.Config()); got != `{"a":1}` {
		t.Errorf("got %q", got)
	}
}

func TestARequestIsPassedOn(t *testing.T) {
	login := func(w *web.Response, r *web.Request) {
		if r.Header("Authorization") == "" {
			w.Error(401, "who are you?")
			return
		}
		r.RemoveHeader("Authorization")
		r.SetHeader("X-User", "Ada")
		w.SetHeader("X-Seen", "yes")
		w.Next()
	}
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %q", r.Header.Get("X-User"), r.Header.Get("Authorization"))
	})
	for authorization, want := range map[string]string{"": "who are you?\n", "Basic x": `"Ada" ""`} {
		r := httptest.NewRequest("GET", "/", nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		got := httptest.NewRecorder()
		webtest.Chain(login, next).ServeHTTP(got, r)
		if got.Body.String() != want || (authorization != "") != (got.Header().Get("X-Seen") == "yes") {
			t.Errorf("%q: %d %q %v", authorization, got.Code, got.Body, got.Header())
		}
	}
	if got := do(httptest.NewRequest("GET", "/", nil), func(w *web.Response, _ *web.Request) { w.Next() }); got.StatusCode != 404 {
		t.Errorf("at the end of the chain: %d", got.StatusCode)
	}
	defer func() {
		if recover() == nil {
			t.Error("a handler may pass on and answer")
		}
	}()
	do(httptest.NewRequest("GET", "/", nil), func(w *web.Response, _ *web.Request) {
		w.WriteString("x")
		w.Next()
	})
}
