//go:build !wasip1

package main

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/apphost/apphost/sdk/web"
	"github.com/apphost/apphost/sdk/web/webtest"
)

// reply is what the client got.
type reply struct {
	status  int
	body    string
	cookies []*http.Cookie
}

// do answers a request natively.
func do(method, url, kind, body string, cookies ...*http.Cookie) reply {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	got := httptest.NewRecorder()
	webtest.Handler(answer).ServeHTTP(got, r)
	return reply{got.Code, got.Body.String(), (&http.Response{Header: got.Header()}).Cookies()}
}

const formType = "application/x-www-form-urlencoded"

func TestPages(t *testing.T) {
	tests := []struct {
		name, method, url, kind, body string
		status                        int
		want                          string // part of the answer
	}{
		{"home", "GET", "/forms/", "", "", 200, "You have seen it once."},
		{"home elsewhere", "GET", "/", "", "", 200, "<form action=\"greet\">"},
		{"head", "HEAD", "/forms/", "", "", 200, ""},
		{"greet", "GET", "/forms/greet?name=Ada+L.", "", "", 200, "Hello, Ada L.!"},
		{"greet nobody", "GET", "/forms/greet", "", "", 200, "Hello, stranger!"},
		{"greet escapes", "GET", "/forms/greet?name=%3Cscript%3E%22%26", "", "", 200, "Hello, &lt;script&gt;&#34;&amp;!"},
		{"greet beyond ASCII", "GET", "/forms/greet?name=Zo%C3%AB", "", "", 200, "Hello, Zoë!"},
		{"greet too long", "GET", "/forms/greet?name=" + strings.Repeat("x", 101), "", "", 400, "a name of up to 100 bytes, please\n"},
		{"post", "POST", "/forms/post", formType, "title=%3Cb%3E&option=b&option=a", 200, "<tr><th>option<td>b\n<tr><th>option<td>a\n<tr><th>title<td>&lt;b&gt;\n"},
		{"post escapes names", "POST", "/forms/post", formType, "%3Cb%3E=1", 200, "<tr><th>&lt;b&gt;<td>1"},
		{"post of another type", "POST", "/forms/post", "text/plain", "a=1", 400, "the body is not application/x-www-form-urlencoded\n"},
		{"post too long", "POST", "/forms/post", formType, "a=" + strings.Repeat("x", web.FormBytesMax), 413, "the form is longer than 1048576 bytes\n"},
		{"sum", "POST", "/forms/sum", "application/json", `{"numbers": [1, 2.5]}`, 200, `{"count":2,"sum":3.5}` + "\n"},
		{"sum of nothing", "POST", "/forms/sum", "application/json", `{}`, 200, `{"count":0,"sum":0}` + "\n"},
		{"sum of no JSON", "POST", "/forms/sum", "application/json", `x`, 400, `{"error":"invalid character 'x' looking for beginning of value"}` + "\n"},
		{"sum too large", "POST", "/forms/sum", "application/json", `{"numbers":[1e308,1e308]}`, 422, "too large"},
		{"sum too long", "POST", "/forms/sum", "application/json", `{"numbers":[` + strings.Repeat("1,", numbersBytesMax), 413, "more than 65536 bytes"},
		{"stream of too many", "GET", "/forms/stream?lines=51", "", "", 400, "lines: want a number from 1 to 50\n"},
		{"no such page", "GET", "/forms/nope", "", "", 404, "no such page\n"},
		{"wrong method", "GET", "/forms/post", "", "", 405, "this page wants POST\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := do(test.method, test.url, test.kind, test.body)
			if r.status != test.status || !strings.Contains(r.body, test.want) {
				t.Errorf("got %d\n%s\nwant %d\n%s", r.status, r.body, test.status, test.want)
			}
		})
	}
}

func TestVisitsAreCountedInACookie(t *testing.T) {
	tests := []struct{ sent, seen, kept string }{
		{"1", "2 times", "2"},
		{"41", "42 times", "42"},
		{"-5", "once", "1"},
		{"x", "once", "1"},
		{"99999999999999999999", "once", "1"},
	}
	for _, test := range tests {
		r := do("GET", "/forms/", "", "", &http.Cookie{Name: "visits", Value: test.sent})
		if !strings.Contains(r.body, "You have seen it "+test.seen) {
			t.Errorf("cookie %q: the page does not say %q", test.sent, test.seen)
		}
		if c := r.cookies; len(c) != 1 || c[0].Name != "visits" || c[0].Value != test.kept || !c[0].HttpOnly {
			t.Errorf("cookie %q: got back %v", test.sent, c)
		}
	}
}

func TestNameIsRemembered(t *testing.T) {
	cookies := do("GET", "/forms/greet?name=%22Zo%C3%AB%22%3B", "", "").cookies
	if len(cookies) != 1 {
		t.Fatalf("got %v", cookies)
	}
	page := do("GET", "/forms/", "", "", cookies[0]).body
	if want := `value="&#34;Zoë&#34;;"`; !strings.Contains(page, want) {
		t.Errorf("the page has no %s", want)
	}
}

// The lines come one by one: the first can be read before the last is made.
func TestStream(t *testing.T) {
	s := httptest.NewServer(webtest.Handler(answer))
	defer s.Close()
	r, err := http.Get(s.URL + "/stream?lines=3")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	in := bufio.NewReader(r.Body)
	first, err := in.ReadString('\n')
	if err != nil || first != "line 1 of 3\n" || in.Buffered() > 0 {
		t.Errorf("got %q with %d more bytes, %v", first, in.Buffered(), err)
	}
	if rest, err := io.ReadAll(in); err != nil || string(rest) != "line 2 of 3\nline 3 of 3\n" {
		t.Errorf("got %q, %v", rest, err)
	}
}
