package command_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/host/abi/command"
	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/internal/hosttest"
	"github.com/apphost/apphost/host/web"
	"github.com/apphost/apphost/mpm"
)

// program builds testdata/program and loads it.
func program(t *testing.T) (*command.Plugin, *hosttest.Log) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program.wasm")
	build := exec.Command("go", "build", "-o", file, ".")
	build.Dir = "testdata/program"
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return load(t, wasm)
}

// load loads a program.
func load(t *testing.T, wasm []byte) (*command.Plugin, *hosttest.Log) {
	t.Helper()
	return loadWith(t, wasm, command.Settings{})
}

func loadWith(t *testing.T, wasm []byte, set command.Settings) (*command.Plugin, *hosttest.Log) {
	t.Helper()
	runtime, err := guest.NewRuntime(t.Context(), guest.Options{ABIs: []guest.ABI{command.ABI()}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := runtime.Load(t.Context(), guest.Source{Name: "prog", Wasm: wasm, Entrypoint: set.Entrypoint})
	if err != nil {
		t.Fatal(err)
	}
	logger, log := hosttest.Logger()
	set.Logger = logger
	p := command.New(m, set)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := runtime.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := p.Check(t.Context(), 1, func(string) {}); err != nil {
		t.Fatal(err)
	}
	return p, log
}

func TestAProgramServesAConnection(t *testing.T) {
	p, log := program(t)
	done := make(chan struct{}, 1)
	address := hosttest.Serve(t, func(ctx context.Context, c mpm.Conn) {
		p.ServeConn(ctx, c, command.Timeouts{Read: 20 * time.Second, Write: 20 * time.Second}, name("c1"))
		done <- struct{}{}
	})
	for _, test := range []struct{ send, want, log string }{
		{"hello\nworld", "got hello\ngot world\nend of input <nil>\n", ""},
		{"", "end of input <nil>\n", ""},
		{"args\n", "[\"prog\"]\nend of input <nil>\n", ""},
		{"env PROTO\nenv TCPREMOTEIP\nenv PATH\n", "TCP\n127.0.0.1\n\nend of input <nil>\n", ""},
		{"log some words\n", "end of input <nil>\n", "level=INFO msg=\"guest output\" connection=c1 stream=stderr text=\"some words\"\n"},
		{"exit 123\nunread", "", "level=WARN msg=\"program ended with an error\" connection=c1 exit_code=3\n"},
		{"exit\n", "", ""},
		{"panic on purpose\n", "", "level=WARN msg=\"program ended with an error\" connection=c1 exit_code=2\n"},
	} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(c, test.send); err != nil {
			t.Fatal(err)
		}
		_ = c.(*net.TCPConn).CloseWrite()
		got, _ := io.ReadAll(c) // a program that leaves input unread may reset
		_ = c.Close()
		<-done
		if string(got) != test.want {
			t.Errorf("%q: answered %q, want %q", test.send, got, test.want)
		}
		if got := log.Take(); !strings.HasSuffix(got, test.log) || test.log == "" && got != "" {
			t.Errorf("%q: logged %q, want %q", test.send, got, test.log)
		}
	}
}

type name string

func (n name) String() string { return string(n) }

// site serves the program at /p/ and returns its address.
func site(t *testing.T) (address string, log *hosttest.Log) {
	t.Helper()
	return siteOf(t, web.Config{})
}

func siteOf(t *testing.T, config web.Config) (address string, log *hosttest.Log) {
	t.Helper()
	p, log := program(t)
	config.Mounts = []web.Mount{{Path: "/p/", Handler: p.At("/p/")}, {Path: "/exact", Handler: p.At("/exact")}}
	s := web.New(config)
	return hosttest.Serve(t, s.ServeConn), log
}

// ask makes a request and reads the response.
func ask(t *testing.T, address, request string) (*http.Response, string, error) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%.60q: %v", request, err)
	}
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

func TestAProgramAnswersARequest(t *testing.T) {
	address, log := site(t)
	get := func(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n" }
	for _, test := range []struct {
		request string
		status  int
		body    string
		log     string // what the log has, if not nothing
	}{
		{get("/p/a%20b?args&x=1&y"), 200, "[\"/p/a%20b\" \"args\" \"x=1\" \"y\"]\n", ""},
		{"POST /p/?body HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nwxyz", 200, "4 bytes, <nil>: wxyz", ""},
		{"POST /p/?body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", 200, "2 bytes, <nil>: ab", ""},
		{"POST /p/?body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nz\r\n", 400, "400 Bad Request\n", ""},
		{get("/p/?short"), 200, "", "it has 9 bytes, and not 100"},
		{get("/p/?over"), 500, "500 Internal Server Error\n", "it has 9 bytes or more, and not 5"},
		{get("/p/?overlate"), 200, "", "it has 6 bytes or more, and not 5"},
		{get("/p/?status"), 404, "not here\n", ""},
		{get("/p/?away"), 302, "", ""},
		{get("/p/?local"), 200, "[\"/p/x\" \"args\"]\n", ""},
		{"POST /p/?local HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nwxyz", 200, "[\"/p/x\" \"args\"]\n", ""},
		{get("/p/?circle"), 500, "500 Internal Server Error\n", `its Location is \"/p/?circle\": the request was passed on too often: 10 times is the most`},
		{get("/p/?unescaped"), 500, "500 Internal Server Error\n", "which cannot be a path as it stands"},
		{get("/p/?nothing"), 500, "500 Internal Server Error\n", "ended before the empty line"},
		{get("/p/?noend"), 500, "500 Internal Server Error\n", "ended before the empty line"},
		{get("/p/?nocolon"), 500, "500 Internal Server Error\n", "which has no colon"},
		{get("/p/?badname"), 500, "500 Internal Server Error\n", "not a valid header name or value"},
		{get("/p/?badstatus"), 500, "500 Internal Server Error\n", "a number from 200 to 999"},
		{get("/p/?long"), 500, "500 Internal Server Error\n", "longer than 65536 bytes"},
		{get("/p/?exit"), 500, "500 Internal Server Error\n", "exit_code=3"},
		{get("/p/?cut"), 200, "", "exit_code=3"},
	} {
		res, body, err := ask(t, address, test.request)
		cut := test.body == ""
		if res.StatusCode != test.status || !cut && (err != nil || body != test.body) || cut && test.status == 200 && err == nil {
			t.Errorf("%.40q: %d %q %v, want %d %q", test.request, res.StatusCode, body, err, test.status, test.body)
		}
		if got := log.Take(); !strings.Contains(got, test.log) || strings.Count(got, "\n") > 1 || test.log == "" && got != "" {
			t.Errorf("%.40q: logged %q, want %q", test.request, got, test.log)
		}
	}
	res, _, _ := ask(t, address, get("/p/?away"))
	if got := res.Header.Get("Location"); got != "https://example.com/x" {
		t.Errorf("sent to %q", got)
	}
}

func TestTheEnvironmentDescribesTheRequest(t *testing.T) {
	address, _ := site(t)
	_, port, _ := net.SplitHostPort(address)
	res, body, err := ask(t, address, "POST /p/a%2fb/../c?env&q=%20 HTTP/1.1\r\nHost: example.com\r\nContent-Type: text/x\r\nContent-Length: 2\r\n"+
		"X-Two: 1\r\nX-Two: 2\r\nX_Under: no\r\nCookie: a=1\r\nCookie: b=2\r\nProxy: no\r\nAuthorization: Basic no\r\n\r\nab")
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res.StatusCode, err)
	}
	got := map[string]string{}
	for line := range strings.Lines(body) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		got[name] = value
	}
	for name, want := range map[string]string{
		"GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_NAME": "example.com", "SERVER_PORT": port,
		"REQUEST_METHOD": "POST", "REQUEST_URI": "/p/a%2fb/../c?env&q=%20", "SCRIPT_NAME": "/p", "PATH_INFO": "/a/c",
		"QUERY_STRING": "env&q=%20", "REMOTE_ADDR": "127.0.0.1", "CONTENT_TYPE": "text/x", "CONTENT_LENGTH": "2",
		"HTTP_X_TWO": "1, 2", "HTTP_COOKIE": "a=1; b=2", "HTTP_HOST": "example.com", "AUTH_TYPE": "",
		"X_FULL_URL": "http://example.com:" + port + "/p/a%2fb/../c?env&q=%20", "X_MATCHED_ROUTE": "/p/...", "X_RAW_PATH_INFO": "/a%2fb/../c",
	} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s is %q (there: %v), want %q", name, value, ok, want)
		}
	}
	for _, name := range []string{"HTTP_X_UNDER", "HTTP_PROXY", "HTTP_AUTHORIZATION", "HTTP_CONTENT_TYPE", "PATH"} {
		if value, ok := got[name]; ok {
			t.Errorf("%s is passed on: %q", name, value)
		}
	}
}

func TestOutputIsSentAsItIsWritten(t *testing.T) {
	address, _ := site(t)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(c, "POST /p/?stream HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len("data: 1\n\ndata: 2\n\n"))
	if _, err := io.ReadFull(res.Body, got); err != nil || !bytes.HasSuffix(got, []byte("data: 2\n\n")) {
		t.Fatalf("%q, %v", got, err)
	}
	fmt.Fprint(c, "0\r\n\r\n") // only now the program may end
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "data: 3\n\n" {
		t.Errorf("%q, %v", rest, err)
	}
}
