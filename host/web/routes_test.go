package web

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/internal/urlpath"
)

func TestLongestMountWins(t *testing.T) {
	var mounts []Mount
	for _, path := range []string{"/", "/a", "/a/", "/a/b/", "/a/b/c", "/only/", "/sp ace/"} {
		mounts = append(mounts, Mount{Path: path, Name: path, Handler: handlerFunc(func(_ context.Context, x exchange.Exchange) error {
			_, err := x.Write([]byte(path + " saw " + string(x.URI())))
			return err
		})})
	}
	f := serve(t, Config{Mounts: mounts})
	for _, tc := range []struct{ target, mount string }{
		{"/", "/"},
		{"/x", "/"},
		{"/a", "/a"},
		{"/a?q=/a/b/", "/a"},
		{"/a/", "/a/"},
		{"/ab", "/"},
		{"/a/x", "/a/"},
		{"/a/b/x", "/a/b/"},
		{"/a/b/c", "/a/b/c"},
		{"/a/b/c/", "/a/b/"},
		{"/a/b/../x", "/a/"},
		{"/a/b/%2e%2E/x", "/a/"},
		{"/a/b/..%2fx", "/a/"},
		{"/a/b/..", "/a/"},
		{"/a/../../..", "/"},
		{"/a//b//c", "/a/b/c"},
		{"//a/b/?u=http://x/", "/a/b/"},
		{"/x?u=http://a/b/c", "/"},
		{"/./a/./b/./c", "/a/b/c"},
		{"/%61/b/c", "/a/b/c"},
		{"/a/%2561", "/a/"},
		{"/%zz", "/"},
		{"/sp%20ace/", "/sp ace/"},
		{"/a/...", "/a/"},
	} {
		r, body := f.dial().send(get(tc.target)).response("GET")
		if want := tc.mount + " saw " + tc.target; r.StatusCode != 200 || body != want {
			t.Errorf("GET %s: got %d %q, want %q", tc.target, r.StatusCode, body, want)
		}
	}
	for target, want := range map[string]string{
		"/only":           "/only/",
		"/only?a=b&c=%20": "/only/?a=b&c=%20",
		"/x/../only":      "/only/",
		"//only?":         "/only/?",
		"/sp%20ace":       "/sp%20ace/",
	} {
		r, _ := f.dial().send(get(target)).response("GET")
		if got := r.Header.Get("Location"); r.StatusCode != http.StatusPermanentRedirect || got != want {
			t.Errorf("GET %s: got %d to %q, want 308 to %q", target, r.StatusCode, got, want)
		}
	}
}

func TestTheMoreExactMountWins(t *testing.T) {
	var mounts []Mount
	for _, m := range []Mount{
		{Path: "/"},
		{Path: "/a/"},
		{Path: "/a/", Methods: []string{"PUT", "DELETE"}},
		{Host: "One.example", Path: "/"},
		{Host: "one.example", Path: "/get", Methods: []string{"GET"}},
		{Host: "*.example", Path: "/"},
		{Host: "*.two.example", Path: "/a/"},
		{Host: "post.only", Path: "/p", Methods: []string{"POST"}},
		{Host: "[::1]", Path: "/six"},
	} {
		m.Name = m.Host + m.Path + strings.Join(m.Methods, ",")
		m.Handler = say(m.Name)
		mounts = append(mounts, m)
	}
	f := serve(t, Config{Mounts: mounts})
	for _, tc := range []struct{ request, want string }{
		{"GET / any", "/"},
		{"GET /a/b any", "/a/"},
		{"PUT /a/b any", "/a/PUT,DELETE"},
		{"GET / one.example", "One.example/"},
		{"GET / ONE.example.:8080", "One.example/"},
		{"GET /a/b one.example", "One.example/"}, // the host decides before the path
		{"GET /get one.example", "one.example/getGET"},
		{"HEAD /get one.example", "one.example/getGET"},
		{"POST /get one.example", "One.example/"}, // passed over
		{"GET / x.example", "*.example/"},
		{"GET / .example", "/"}, // a wildcard is for at least one character
		{"GET / example", "/"},
		{"GET /a/b y.two.example", "*.two.example/a/"},
		{"GET /b y.two.example", "*.example/"}, // the next best host has it
		{"POST /p post.only:1", "post.only/pPOST"},
		{"GET /p post.only", "/"},
		{"GET /six [::1]:80", "[::1]/six"},
		{"GET /six [::1]", "[::1]/six"},
	} {
		part := strings.Fields(tc.request)
		r, body := f.dial().send(part[0] + " " + part[1] + " HTTP/1.1\r\nHost: " + part[2] + "\r\n\r\n").response(part[0])
		if length := int64(len(tc.want)); part[0] == "HEAD" && body == "" && r.ContentLength == length {
			body = tc.want // as its length tells
		}
		if r.StatusCode != 200 || body != tc.want {
			t.Errorf("%s: got %d %q, want %q", tc.request, r.StatusCode, body, tc.want)
		}
	}
}

func TestAMethodThatNoMountIsForIs405(t *testing.T) {
	f := serve(t, Config{Mounts: []Mount{
		{Path: "/a", Methods: []string{"GET"}, Handler: say("")},
		{Path: "/a", Methods: []string{"POST", "PUT"}, Handler: say("")},
		{Path: "/", Methods: []string{"GET"}, Handler: say("")},
	}})
	r, _ := f.dial().send("DELETE /a HTTP/1.1\r\nHost: a\r\n\r\n").response("DELETE")
	if got := r.Header.Get("Allow"); r.StatusCode != 405 || got != "GET, HEAD, POST, PUT" {
		t.Errorf("got %d, Allow: %s", r.StatusCode, got)
	}
}

func TestAbsoluteTarget(t *testing.T) {
	f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		x.Header(exchange.Request).Values([]byte("host"), func(v []byte) bool {
			_, _ = x.Write(append(append(v, ' '), x.URI()...))
			return true
		})
		return nil
	}))
	for target, want := range map[string]string{
		"http://real:80/p?q": "real:80 /p?q",
		"http://real":        "real /",
		"http://real?q":      "real /?q",
	} {
		if _, body := f.dial().send(get(target)).response("GET"); body != want {
			t.Errorf("%s: got %q, want %q", target, body, want)
		}
	}
}

func TestPage(t *testing.T) {
	f := serve(t, Config{Mounts: []Mount{
		{Path: "/hello/", Name: "hello", Handler: say("hi")},
		{Path: `/<&"/`, Name: "<script>", Handler: say("hi")},
	}})
	c := f.dial()
	r, body := c.send(get("/")).response("GET")
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("got %d %v", r.StatusCode, r.Header)
	}
	if !strings.Contains(body, `<a href="/hello/">/hello/</a><td>hello`) {
		t.Errorf("no link in %s", body)
	}
	if strings.Contains(body, "<script>") || !strings.Contains(body, `<a href="/%3C&amp;%22/">/&lt;&amp;&#34;/</a><td>&lt;script&gt;`) {
		t.Errorf("not escaped: %s", body)
	}
	if strings.Contains(body, "http") {
		t.Errorf("refers to something outside: %s", body)
	}
	if r, body := c.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").response("HEAD"); r.StatusCode != 200 || body != "" {
		t.Errorf("HEAD: got %d %q", r.StatusCode, body)
	}
	if r, _ := c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").response("POST"); r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: got %d %v", r.StatusCode, r.Header)
	}
	if r, body := c.send(get("/none")).response("GET"); r.StatusCode != 404 || body != "404 Not Found\n" {
		t.Errorf("unknown path: got %d %q", r.StatusCode, body)
	}
	if r, _ := c.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").response("OPTIONS"); r.StatusCode != 404 {
		t.Errorf("OPTIONS *: got %d", r.StatusCode)
	}
	if r, _ := serve(t, Config{}).dial().send(get("/")).response("GET"); r.StatusCode != 200 {
		t.Errorf("page without mounts: got %d", r.StatusCode)
	}
}

func TestValidateRefusesMounts(t *testing.T) {
	ok := say("")
	for _, tc := range []struct {
		name   string
		mounts []Mount
	}{
		{"no leading slash", []Mount{{Path: "a/", Handler: ok}}},
		{"empty", []Mount{{Handler: ok}}},
		{"twice", []Mount{{Path: "/a", Handler: ok}, {Path: "/a", Handler: ok}}},
		{"no handler", []Mount{{Path: "/a"}}},
		{"empty segment", []Mount{{Path: "/a//b", Handler: ok}}},
		{"empty last segment", []Mount{{Path: "/a//", Handler: ok}}},
		{"dot segment", []Mount{{Path: "/a/./b", Handler: ok}}},
		{"parent at the end", []Mount{{Path: "/a/..", Handler: ok}}},
		{"one method twice", []Mount{{Path: "/a", Handler: ok, Methods: []string{"GET", "PUT"}}, {Path: "/a", Handler: ok, Methods: []string{"PUT"}}}},
		{"one host twice", []Mount{{Host: "A", Path: "/a", Handler: ok}, {Host: "a", Path: "/a", Handler: ok}}},
		{"wildcard within", []Mount{{Host: "a.*.b", Path: "/a", Handler: ok}}},
	} {
		if err := (&Config{Mounts: tc.mounts}).Validate(); err == nil {
			t.Errorf("%s: taken", tc.name)
		}
	}
	if err := (&Config{BodyTimeout: -1}).Validate(); err == nil {
		t.Error("negative timeout: taken")
	}
	if err := (&Config{Mounts: []Mount{{Path: "/", Handler: ok}, {Path: "/a%b/..c", Handler: ok}}}).Validate(); err != nil {
		t.Error(err)
	}
}

// FuzzRoute holds that a path is matched in one form only: whatever its
// spelling, it has no empty or dot segment left and cleans to itself.
func FuzzRoute(f *testing.F) {
	for _, s := range []string{"/", "/a/b?c", "/a/../b/", "//a/./%2e%2e/b", "/%2f%2e%2e%2f", "/a/..", "/%", "/..%2"} {
		f.Add([]byte(s))
	}
	r := newRoutes([]Mount{{Path: "/a/", Handler: say("a")}, {Path: "/a/b/", Handler: say("b")}})
	f.Fuzz(func(t *testing.T, uri []byte) {
		if len(uri) == 0 || uri[0] != '/' {
			t.Skip()
		}
		before := bytes.Clone(uri)
		path := urlpath.Clean(new([]byte), uri)
		if !bytes.Equal(uri, before) {
			t.Fatalf("%q was changed to %q", before, uri)
		}
		if len(path) == 0 || path[0] != '/' {
			t.Fatalf("%q cleaned to %q", uri, path)
		}
		for segment := range bytes.SplitSeq(bytes.TrimSuffix(path[1:], []byte("/")), []byte("/")) {
			if s := string(segment); len(path) > 1 && (s == "" || s == "." || s == "..") {
				t.Fatalf("%q cleaned to %q", uri, path)
			}
		}
		m := r.find(nil, path, []byte("GET"))
		if inside := bytes.HasPrefix(path, []byte("/a/")) || string(path) == "/a"; (m.handler != nil || m.location != "") != inside {
			t.Fatalf("%q: found %v", path, m)
		}
	})
}
