// Package hello tests the plugin of this folder, which is written in C.
package hello

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
	"github.com/apphost/apphost/examples/internal/buildtest"
)

func TestMain(m *testing.M) { os.Exit(apphosttest.Main(m)) }

func TestCommittedPluginIsWhatTheSourceBuilds(t *testing.T) {
	buildtest.Clang(t, "hello", 2048)
}

// One connection carries all requests, each of which a fresh instance answers.
func TestServed(t *testing.T) {
	s := buildtest.Serve(t, nil)
	t.Run("README", func(t *testing.T) { buildtest.Try(t, s) })

	const nameless = "Hello from WebAssembly!\n"
	tests := []struct {
		name, method, target string
		status               int
		want                 string
	}{
		{"nobody", "GET", "/hello/", 200, nameless},
		{"somebody", "GET", "/hello/?name=Ada+Lovelace", 200, "Hello Ada Lovelace, from WebAssembly!\n"},
		{"nobody again", "GET", "/hello/", 200, nameless},
		{"beyond ASCII, not first", "GET", "/hello/?x=1&name=Zo%C3%AB&y=2", 200, "Hello Zoë, from WebAssembly!\n"},
		{"markup", "GET", "/hello/?name=%3Cb%3E", 200, "Hello <b>, from WebAssembly!\n"},
		{"not decodable", "GET", "/hello/?name=100%", 200, "Hello 100%, from WebAssembly!\n"},
		{"empty name", "GET", "/hello/?name=", 200, nameless},
		{"name too long", "GET", "/hello/?name=" + strings.Repeat("x", 1024), 200, nameless},
		{"below", "GET", "/hello/a/b?name=A", 200, "Hello A, from WebAssembly!\n"},
		{"head", "HEAD", "/hello/?name=A", 200, ""},
		{"after head", "GET", "/hello/", 200, nameless},
		{"post", "POST", "/hello/", 200, nameless},
		{"after a body that was not read", "GET", "/hello/", 200, nameless},
		{"another path", "GET", "/nobody/", 404, ""},
	}
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	for i, test := range tests {
		var reused bool
		trace := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused },
		})
		var body io.Reader
		if test.method == "POST" {
			body = strings.NewReader("a body")
		}
		r, err := http.NewRequestWithContext(trace, test.method, "http://"+s.Addr("web")+test.target, body)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		got, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != test.status || test.status == 200 && string(got) != test.want {
			t.Errorf("%s: got %d %q, %v, want %d %q", test.name, response.StatusCode, got, err, test.status, test.want)
		}
		if kind := response.Header.Get("Content-Type"); kind != "text/plain; charset=utf-8" {
			t.Errorf("%s: Content-Type %q", test.name, kind)
		}
		if want := int64(len("Hello A, from WebAssembly!\n")); test.method == "HEAD" && response.ContentLength != want {
			t.Errorf("%s: Content-Length %d, want %d", test.name, response.ContentLength, want)
		}
		if reused != (i > 0) {
			t.Errorf("%s: connection reused: %t", test.name, reused)
		}
	}
}
