package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

const passWasm = "../../host/abi/httpwasm/testdata/pass.wasm"

// curlRoutes has a route of each kind; the plugins have theirs at /NAME/, too.
const curlRoutes = plain + `
[[listen]]
name = "local"
address = "unix:local.sock"
[[route]]
path = "/files/"
root = "public"
[[route]]
path = "/old/"
redirect = "/files/"
status = 301
[[route]]
path = "/robots.txt"
respond = "User-agent: *\n"
[[route]]
path = "/greeting"
methods = ["GET"]
plugin = "hello"
[[route]]
path = "/0-"
chain = ["pass", "pass", "hello"]
[[route]]
path = "/2-"
chain = ["pass", "hello"]
[[route]]
path = "/2-files/"
chain = ["pass"]
root = "public"
[[route]]
path = "/cgi/"
plugin = "program"
[[route]]
host = "*.example"
path = "/greeting"
respond = "another host\n"
status = 203
[plugin.hello]
mount = true
`

// curl is another implementation of HTTP than those of our tests.
func TestE2ECurlAndEachKindOfRoute(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skipf("there is no curl to try: %v", err)
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %q for %s", r.Method, r.RequestURI, body, r.Header.Get("X-Forwarded-For"))
	}))
	defer upstream.Close()
	proxied := "[[route]]\npath = \"/up/\"\nproxy = \"" + upstream.URL + "/there/\"\n"
	s := apphosttest.New(t, curlRoutes+proxied, map[string]string{
		"hello": helloWasm, "echo": echoWasm, "pass": passWasm, "program": buildGuest(t, "../../host/abi/command/testdata/program"),
	})
	if err := os.Mkdir(filepath.Join(s.Dir, "public"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.Write("public/index.html", []byte("<p>index</p>\n"))
	s.Write("public/a.txt", []byte("0123456789\n"))
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte("0123456789\n"))
	_ = z.Close()
	s.Write("public/a.txt.gz", packed.Bytes())
	s.Start()

	const greeting = "Hello from WebAssembly!\n"
	local := "--unix-socket " + filepath.Join(s.Dir, "local.sock")
	for _, test := range []struct{ name, args, status, header, body string }{
		{"plugin", "/hello/?name=curl", "200", "content-length: ", "Hello curl, from WebAssembly!\n"},
		{"plugin by HEAD", "-I /hello/", "200", "content-length: 24", ""},
		{"plugin by HTTP/1.0", "-0 /hello/", "200", "connection: close", greeting},
		{"plugin with a body that nobody reads", "-d x=y /hello/", "200", "", greeting},
		{"plugin without its slash", "/hello", "308", "location: /hello/", "308 "},
		{"plugin without its slash, followed", "-L /hello", "200", "", greeting},
		{"plugin by Unix socket", local + " /hello/", "200", "", greeting},
		{"route", "/greeting", "200", "content-type: text/plain", greeting},
		{"route by another method", "-X DELETE /greeting", "405", "allow: GET", "405 "},
		{"route by host", "-H host:a.example /greeting", "203", "", "another host\n"},
		{"chain", "/0-", "200", "", greeting},
		{"chain that replaces the answer", "/2-", "200", "content-length: 1", "|"},
		{"chain before files", "/2-files/a.txt", "200", "content-length: 1", "|"},
		{"files", "/files/", "200", "content-type: text/html", "<p>index</p>\n"},
		{"file", "/files/a.txt", "200", "accept-ranges: bytes", "0123456789\n"},
		{"file by HEAD", "-I /files/a.txt", "200", "content-length: 11", ""},
		{"part of a file", "-r 2-4 /files/a.txt", "206", "content-range: bytes 2-4/11", "234"},
		{"file in a smaller form", "--compressed /files/a.txt", "200", "content-encoding: gzip", "0123456789\n"},
		{"file that is not newer", "-z public/a.txt /files/a.txt", "304", "", ""},
		{"file that is not there", "/files/b.txt", "404", "", "404 "},
		{"file outside", "--path-as-is /files/../config.toml", "404", "", "404 "},
		{"redirect", "/old/a.txt", "301", "location: /files/a.txt\r\n", ""},
		{"proxy", "/up/a?b", "200", "content-length: ", "GET /there/a?b \"\" for 127.0.0.1"},
		{"proxy with a body", "-d hello /up/", "200", "", "POST /there/ \"hello\" for 127.0.0.1"},
		{"proxy by HEAD", "-I /up/", "200", "content-length: ", ""},
		{"respond", "/robots.txt", "200", "content-type: text/plain", "User-agent: *\n"},
		{"command", "/cgi/?args&x", "200", "content-type: text/plain", "[\"/cgi/\""},
		{"command with a body", "-d hello /cgi/?body", "200", "x-a: 1", "5 bytes, <nil>: hello"},
		{"command with chunks", "-H transfer-encoding:chunked -d hello /cgi/?body", "200", "", "5 bytes, <nil>: hello"},
		{"command with a status", "/program/?status", "404", "", "not here\n"},
		{"command that redirects", "/program/?away", "302", "location: https://example.com/x", ""},
		{"nothing", "/none/", "404", "", "404 "},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := strings.Fields(test.args)
			target := args[len(args)-1]
			args = append([]string{"--silent", "--show-error", "--include", "--noproxy", "*", "--max-time", "20"}, args[:len(args)-1]...)
			cmd := exec.CommandContext(t.Context(), "curl", append(args, "http://"+s.Addr("web")+target)...)
			cmd.Dir = s.Dir
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%s: %v\n%s", cmd, err, out)
			}
			answers := strings.Split(string(out), "\r\n\r\n")
			header, body := strings.ToLower(answers[len(answers)-2])+"\r\n", answers[len(answers)-1]
			if words := strings.Fields(header); words[1] != test.status {
				t.Errorf("status %s, want %s", words[1], test.status)
			}
			if !strings.Contains(header, strings.ToLower(test.header)) {
				t.Errorf("no %q in\n%s", test.header, header)
			}
			if !strings.HasPrefix(body, test.body) || test.body == "" && body != "" {
				t.Errorf("body %q, want %q", body, test.body)
			}
		})
	}
}
