package static_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/host/internal/hosttest"
	"github.com/apphost/apphost/host/web"
	"github.com/apphost/apphost/host/web/static"
)

// site serves a folder with the given files at /s/, and returns its URL.
func site(t *testing.T, files map[string]string) (url, dir string) {
	t.Helper()
	parent := t.TempDir()
	dir = filepath.Join(parent, "public")
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(parent, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := static.Open(dir, "/s/")
	if err != nil {
		t.Fatal(err)
	}
	one, err := static.Open(dir, "/one/a.txt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = f.Close(), one.Close() })
	s := web.New(web.Config{Mounts: []web.Mount{{Path: "/s/", Handler: f}, {Path: "/one/a.txt", Handler: one}}})
	return "http://" + hosttest.Serve(t, s.ServeConn), dir
}

// ask makes a request with headers "Name: value".
func ask(t *testing.T, method, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	res, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return res, string(body)
}

func TestFilesAreFoundByTheirPath(t *testing.T) {
	url, dir := site(t, map[string]string{
		"index.html": "home", "a.txt": "text", "sub/index.html": "sub", "bare/b.css": "css", "sp ace/%41.js": "js",
		".git/config": "hidden", "sub/.env": "hidden", ".well-known/x.txt": "known", "empty": "", "index/index.html/x": "",
	})
	for name, to := range map[string]string{"out": "../secret", "outside": "..", "in": "a.txt", "absolute": filepath.Join(dir, "a.txt")} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path   string
		status int
		body   string
		header string // "Name: value"
	}{
		{"/s/", 200, "home", "Content-Type: text/html; charset=utf-8"},
		{"/s/index.html", 200, "home", "Content-Length: 4"},
		{"/s/a.txt?v=2", 200, "text", "Content-Type: text/plain; charset=utf-8"},
		{"/s/empty", 200, "", "Content-Length: 0"},
		{"/s/sub/", 200, "sub", "Accept-Ranges: bytes"},
		{"/s/sub", 308, "", "Location: /s/sub/"},
		{"/s/sub?q=1", 308, "", "Location: /s/sub/?q=1"},
		{"/s//sub", 308, "", "Location: /s/sub/"},
		{"/s/sp%20ace", 308, "", "Location: /s/sp%20ace/"},
		{"/s/sp%20ace/%2541.js", 200, "js", "Content-Type: text/javascript; charset=utf-8"},
		{"/s/bare/b.css", 200, "css", "Content-Type: text/css; charset=utf-8"},
		{"/s/.well-known/x.txt", 200, "known", ""},
		{"/s/in", 200, "text", ""},
		{"/one/a.txt", 200, "text", ""},
		{"/s/bare/", 404, "", "X-Content-Type-Options: nosniff"},
		{"/s/none", 404, "", ""},
		{"/s/a.txt/", 404, "", ""},
		{"/s/a.txt/x", 404, "", ""},
		{"/s/index/", 404, "", ""},
		{"/s/.git/config", 404, "", ""},
		{"/s/sub/.env", 404, "", ""},
		{"/s/%2eenv", 404, "", ""},
		{"/s/../secret", 404, "", ""},
		{"/s/..%2fsecret", 404, "", ""},
		{"/s/%2e%2e/secret", 404, "", ""},
		{"/s/out", 404, "", ""},
		{"/s/outside/secret", 404, "", ""},
		{"/s/absolute", 404, "", ""},
		{"/s/pipe", 404, "", ""},
		{"/s/a%00.txt", 404, "", ""},
		{"/s/" + strings.Repeat("x", 5000), 404, "", ""},
	} {
		res, body := ask(t, "GET", url+test.path)
		name, value, _ := strings.Cut(test.header, ": ")
		if res.StatusCode != test.status || test.status == 200 && body != test.body || name != "" && res.Header.Get(name) != value {
			t.Errorf("%.50s: %d %q %v, want %d %q %s", test.path, res.StatusCode, body, res.Header, test.status, test.body, test.header)
		}
		if strings.Contains(body, "secret") || strings.Contains(body, "hidden") {
			t.Errorf("%s: gives away %q", test.path, body)
		}
	}
}

func TestMethods(t *testing.T) {
	url, _ := site(t, map[string]string{"a.txt": "text"})
	if res, body := ask(t, "HEAD", url+"/s/a.txt"); res.StatusCode != 200 || body != "" || res.Header.Get("Content-Length") != "4" {
		t.Errorf("HEAD: %d %q %v", res.StatusCode, body, res.Header)
	}
	if res, _ := ask(t, "POST", url+"/s/a.txt"); res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %v", res.StatusCode, res.Header)
	}
}

func TestConditionsAndRanges(t *testing.T) {
	url, dir := site(t, map[string]string{"a.txt": "0123456789"})
	first, _ := ask(t, "GET", url+"/s/a.txt")
	tag, modified := first.Header.Get("Etag"), first.Header.Get("Last-Modified")
	if tag == "" || modified == "" {
		t.Fatalf("no validators: %v", first.Header)
	}
	for _, test := range []struct {
		headers []string
		status  int
		body    string
	}{
		{[]string{"If-None-Match: " + tag}, 304, ""},
		{[]string{`If-None-Match: "other", ` + tag}, 304, ""},
		{[]string{`If-None-Match: "other"`}, 200, "0123456789"},
		{[]string{"If-Modified-Since: " + modified}, 304, ""},
		{[]string{"If-Modified-Since: " + modified, `If-None-Match: "other"`}, 200, "0123456789"},
		{[]string{`If-Match: "other"`}, 412, ""},
		{[]string{"Range: bytes=2-4"}, 206, "234"},
		{[]string{"Range: bytes=-3"}, 206, "789"},
		{[]string{"Range: bytes=8-100"}, 206, "89"},
		{[]string{"Range: bytes=10-"}, 416, ""},
		{[]string{"Range: bytes=2-4", "If-Range: " + tag}, 206, "234"},
		{[]string{"Range: bytes=2-4", `If-Range: "other"`}, 200, "0123456789"},
		{[]string{"Range: lines=1-2"}, 416, ""},
	} {
		res, body := ask(t, "GET", url+"/s/a.txt", test.headers...)
		if res.StatusCode != test.status || (test.status == 200 || test.status == 206) && body != test.body {
			t.Errorf("%q: %d %q, want %d %q", test.headers, res.StatusCode, body, test.status, test.body)
		}
	}
	if res, body := ask(t, "GET", url+"/s/a.txt", "Range: bytes=0-1,4-5"); res.StatusCode != 206 ||
		!strings.HasPrefix(res.Header.Get("Content-Type"), "multipart/byteranges") || !strings.Contains(body, "\r\n\r\n45\r\n") {
		t.Errorf("two ranges: %d %v %q", res.StatusCode, res.Header, body)
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "a.txt"), later, later); err != nil {
		t.Fatal(err)
	}
	if res, _ := ask(t, "GET", url+"/s/a.txt", "If-None-Match: "+tag); res.StatusCode != 200 {
		t.Errorf("a changed file has its old tag: %d", res.StatusCode)
	}
}

func TestAPrecompressedFileIsSentToWhoAcceptsIt(t *testing.T) {
	url, _ := site(t, map[string]string{
		"a.css": "plain text", "a.css.br": "brotli", "a.css.gz": "gz", "unknown": "?", "unknown.gz": "gz", "only.js.gz": "gz", "d.js": "js", "d.js.br/x": "",
	})
	for _, test := range []struct{ path, accept, body, encoding, vary string }{
		{"a.css", "", "plain text", "", "Accept-Encoding"},
		{"a.css", "gzip", "gz", "gzip", "Accept-Encoding"},
		{"a.css", "gzip, br", "brotli", "br", "Accept-Encoding"},
		{"a.css", "gzip;q=1, br;q=0", "gz", "gzip", "Accept-Encoding"},
		{"a.css", "GZIP ; q=0.5", "gz", "gzip", "Accept-Encoding"},
		{"a.css", "gzip;q=none", "plain text", "", "Accept-Encoding"},
		{"unknown", "gzip", "gz", "gzip", "Accept-Encoding"},
		{"d.js", "br", "js", "", ""},
	} {
		res, body := ask(t, "GET", url+"/s/"+test.path, "Accept-Encoding: "+test.accept)
		if res.StatusCode != 200 || body != test.body || res.Header.Get("Content-Encoding") != test.encoding || res.Header.Get("Vary") != test.vary {
			t.Errorf("%s for %q: %d %q %v", test.path, test.accept, res.StatusCode, body, res.Header)
		}
		if res.ContentLength != int64(len(test.body)) {
			t.Errorf("%s for %q: length %d", test.path, test.accept, res.ContentLength)
		}
		if test.path == "a.css" && res.Header.Get("Content-Type") != "text/css; charset=utf-8" {
			t.Errorf("type %q", res.Header.Get("Content-Type"))
		}
		if again, _ := ask(t, "GET", url+"/s/"+test.path, "Accept-Encoding: "+test.accept, "If-None-Match: "+res.Header.Get("Etag")); again.StatusCode != 304 {
			t.Errorf("%s for %q, once more: %d", test.path, test.accept, again.StatusCode)
		}
	}
	if res, _ := ask(t, "GET", url+"/s/only.js", "Accept-Encoding: gzip"); res.StatusCode != 404 {
		t.Errorf("a compressed form alone: %d", res.StatusCode)
	}
	if res, body := ask(t, "GET", url+"/s/a.css", "Accept-Encoding: br", "Range: bytes=1-2"); res.StatusCode != 206 || body != "ro" {
		t.Errorf("a range of an encoded file: %d %q", res.StatusCode, body)
	}
}

func TestALargeFileIsWhole(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1<<16)
	url, _ := site(t, map[string]string{"large.bin": large})
	if res, body := ask(t, "GET", url+"/s/large.bin"); res.StatusCode != 200 || body != large || res.ContentLength != int64(len(large)) {
		t.Errorf("%d, %d bytes, length %d", res.StatusCode, len(body), res.ContentLength)
	}
}
