package main

//go:generate sh -c "for f in testdata/*.wat; do wat2wasm --debug-names ${DOLLAR}f -o ${DOLLAR}{f%.wat}.wasm; done"

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// promptly is at once, on a machine that has much else to do.
const promptly = 10 * time.Second

// The tests named e2e run the real binary with real sockets and processes.
func TestMain(m *testing.M) { os.Exit(apphosttest.Main(m)) }

const (
	helloWasm = "../../plugins/hello.wasm"
	echoWasm  = "../../plugins/echo.wasm"
)

// plain is a configuration with one listener of each kind.
const plain = `
[plugins]
cache_dir = "CACHE"
[mpm]
candidate_timeout = "60s"
[[listen]]
name = "web"
address = "127.0.0.1:0"
[[listen]]
name = "echo"
address = "127.0.0.1:0"
protocol = "tcp"
plugin = "echo"
`

func startPlain(t *testing.T) *apphosttest.Server {
	t.Helper()
	return apphosttest.Start(t, plain, map[string]string{"hello": helloWasm, "echo": echoWasm})
}

// greeter is a plugin that answers with greeting, so that each generation can
// be told by what it answers.
func greeter(t *testing.T, greeting string) []byte {
	t.Helper()
	const placeholder = "greeting................"
	wasm, err := os.ReadFile("testdata/greet.wasm")
	if err != nil {
		t.Fatal(err)
	}
	padded := greeting + strings.Repeat(".", len(placeholder)-len(greeting))
	return bytes.Replace(wasm, []byte(placeholder), []byte(padded), 1)
}

// get makes one HTTP request on a connection of its own.
func get(url string) (string, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: apphosttest.Patience}
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", res.Status)
	}
	return string(body), err
}

// echo sends text over a connection of its own and wants it back.
func echo(addr, text string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(apphosttest.Patience))
	if _, err := io.WriteString(conn, text); err != nil {
		return err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	got, err := io.ReadAll(conn)
	if err == nil && string(got) != text {
		err = fmt.Errorf("sent %q, got %q", text, got)
	}
	return err
}

// load is a steady stream of connections, alternately HTTP and TCP.
type load struct {
	t        *testing.T
	cancel   context.CancelFunc
	finished chan struct{}
	sent     atomic.Int64
	failed   atomic.Int64
	slowest  atomic.Int64 // connection, in nanoseconds
	failures chan error
}

// startLoad opens perSecond connections a second until stop, or as many as the
// machine bears.
func startLoad(t *testing.T, s *apphosttest.Server, perSecond int) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{t: t, cancel: cancel, finished: make(chan struct{}), failures: make(chan error, 100)}
	web, addr := s.Addr("web"), s.Addr("echo")
	go func() {
		defer close(l.finished)
		var running sync.WaitGroup
		defer running.Wait()
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		atOnce := make(chan struct{}, 512)
		begun := time.Now()
		for n := 0; ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// A tick that came late stands for more than one.
			for due := int(time.Since(begun).Seconds() * float64(perSecond)); n < due; n++ {
				atOnce <- struct{}{}
				toWeb := n%2 == 0
				running.Go(func() {
					defer func() { <-atOnce }()
					begun := time.Now()
					if toWeb {
						l.note(hello(web), time.Since(begun))
					} else {
						l.note(echo(addr, "ping"), time.Since(begun))
					}
				})
			}
		}
	}()
	return l
}

// hello makes one HTTP request, which costs a client much less than get does.
func hello(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(apphosttest.Patience))
	if _, err := io.WriteString(conn, "GET /hello/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	got, err := io.ReadAll(conn)
	head, body, complete := strings.Cut(string(got), "\r\n\r\n")
	if err == nil && (!strings.HasPrefix(head, "HTTP/1.1 200 ") || !complete || body == "") {
		err = fmt.Errorf("the answer is %q", got)
	}
	return err
}

// note counts a connection.
func (l *load) note(err error, took time.Duration) {
	for slowest := l.slowest.Load(); int64(took) > slowest && !l.slowest.CompareAndSwap(slowest, int64(took)); {
		slowest = l.slowest.Load()
	}
	l.sent.Add(1)
	if err != nil {
		l.failed.Add(1)
		select {
		case l.failures <- err:
		default:
		}
	}
}

// stop ends the load and reports how many connections failed.
func (l *load) stop() (sent, failed int64) {
	l.cancel()
	<-l.finished
	close(l.failures)
	var first []error
	for err := range l.failures {
		first = append(first, err)
	}
	if len(first) > 0 {
		l.t.Logf("failures: %v", errors.Join(first[:min(3, len(first))]...))
	}
	return l.sent.Load(), l.failed.Load()
}

// wantNone lets the load go on until it has made at least so many connections
// from its start, and stops it. None of them may have failed.
func (l *load) wantNone(atLeast int64) {
	l.t.Helper()
	apphosttest.Eventually(l.t, apphosttest.Patience, "the load has made its connections",
		func() bool { return l.sent.Load() >= atLeast })
	sent, failed := l.stop()
	if failed > 0 {
		l.t.Errorf("%d of %d connections failed", failed, sent)
	}
}

func TestE2EServesWhatIsInThePluginFolder(t *testing.T) {
	s := startPlain(t)
	body, err := get("http://" + s.Addr("web") + "/hello/")
	if err != nil || !strings.Contains(body, "Hello from WebAssembly!") {
		t.Errorf("GET /hello/: %q, %v", body, err)
	}
	page, err := get("http://" + s.Addr("web") + "/")
	if err != nil || !strings.Contains(page, "it works") || !strings.Contains(page, "/hello/") {
		t.Errorf("GET /: %v\n%s", err, page)
	}
	if err := echo(s.Addr("echo"), strings.Repeat("x", 1<<20)); err != nil {
		t.Errorf("echo of 1 MiB: %v", err)
	}
	entry, ok := s.WaitLog("plugin loaded", func(e map[string]any) bool { return e["plugin"] == "echo" })
	if !ok || entry["abi"] != "conn" || entry["size"] == "" {
		t.Errorf("log of the echo plugin: %v", entry)
	}
	for _, pid := range s.Children() {
		if line := apphosttest.CommandLine(pid); !strings.HasSuffix(line, "generation 1") {
			t.Errorf("ps shows %q, want the generation", line)
		}
		if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); strings.TrimSpace(string(comm)) != "apphost-child" {
			t.Errorf("top shows %q", comm)
		}
	}
}

// A trap costs the guest's own request, shows the client nothing, and leaves
// nothing behind.
func TestE2EATrapCostsItsOwnRequest(t *testing.T) {
	s := apphosttest.Start(t, strings.ReplaceAll(plain, `plugin = "echo"`, `plugin = "crash_tcp"`),
		map[string]string{"crash_http": "testdata/crash_http.wasm", "crash_tcp": "testdata/crash_tcp.wasm"})
	url := "http://" + s.Addr("web") + "/crash_http/"
	client := &http.Client{Timeout: apphosttest.Patience}
	for range 20 {
		res, err := client.Post(url, "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusInternalServerError {
			t.Fatalf("status %s, want 500", res.Status)
		}
		for _, secret := range []string{"wasm", "unreachable", ".go:", "crash"} {
			if bytes.Contains(body, []byte(secret)) {
				t.Fatalf("the client is shown %q: %s", secret, body)
			}
		}
		if got, err := get(url); err != nil || got != "fine" {
			t.Fatalf("the request after a trap: %q, %v", got, err)
		}
		if err := echo(s.Addr("echo"), "a!b"); err == nil {
			t.Fatal("a trap was echoed")
		}
		if err := echo(s.Addr("echo"), "ab"); err != nil {
			t.Fatalf("the connection after a trap: %v", err)
		}
	}
	client.CloseIdleConnections()
	for _, plugin := range []string{"crash_http", "crash_tcp"} {
		entry, ok := s.WaitLog("guest failed", func(e map[string]any) bool { return e["plugin"] == plugin })
		if !ok {
			t.Errorf("no log of the trap in %s:\n%s", plugin, s.Log())
			continue
		}
		if entry["generation"] != 1.0 || !strings.Contains(fmt.Sprint(entry["stack"]), "crash") {
			t.Errorf("log of the trap in %s: %v", plugin, entry)
		}
	}
	if strings.Contains(s.Log(), "child died") {
		t.Errorf("a child died of a guest's trap:\n%s", s.Log())
	}
}

func TestE2ECommandLine(t *testing.T) {
	s := apphosttest.New(t, plain, map[string]string{"hello": helloWasm, "echo": echoWasm})
	s.Write("text.wasm", []byte("hello"))
	s.Write("odd.wasm", []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x02\x0a\x01\x01\x07\x04\x1b[2J\x00\x00"))
	for _, tc := range []struct {
		args string
		code int
		want []string
	}{
		{"-V", 0, []string{"apphost 0.", "linux"}},
		{"--help", 0, []string{"apphost -c", "reload", "stop", "status", "inspect"}},
		{"", 2, []string{"no configuration file", "-c FILE"}},
		{"--nonsense", 2, []string{"nonsense"}},
		{"nonsense", 2, []string{"apphost: unknown command or argument \"nonsense\""}},
		{"config.toml", 2, []string{"did you mean -c config.toml?"}},
		{"inspect", 2, []string{"one file"}},
		{"-t -c config.toml", 0, []string{"plugin echo: ABI conn", "plugin hello: ABI http-wasm", "config.toml is good"}},
		{"-t -c missing.toml", 1, []string{"missing.toml", "no such file"}},
		{"reload -c config.toml", 1, []string{"no server with the configuration file", "XDG_RUNTIME_DIR"}},
		{"stop -c config.toml", 1, []string{"no server with the configuration file"}},
		{"stop --graceful -c config.toml", 1, []string{"no server with the configuration file"}},
		{"status -c config.toml", 1, []string{"no server with the configuration file"}},
		{"status --json", 2, []string{"-c FILE"}},
		{"stop now -c config.toml", 2, []string{`"now"`}},
		{"inspect plugins/echo.wasm", 0, []string{"ABI conn", "apphost_v1.conn_read", "process_connection"}},
		{"inspect plugins/hello.wasm", 0, []string{"ABI http-wasm", "http_handler.", "handle_request"}},
		{"inspect plugins", 1, []string{"not a regular file"}},
		{"inspect text.wasm", 1, []string{"text.wasm", "not a WebAssembly module"}},
		{"inspect odd.wasm", 1, []string{`import  func  "\a"."\x1b[2J"`}},
		{"inspect missing.wasm", 1, []string{"missing.wasm", "no such file"}},
	} {
		t.Run(strings.TrimSpace("apphost "+tc.args), func(t *testing.T) {
			out, code := s.Run(strings.Fields(tc.args)...)
			if code != tc.code {
				t.Errorf("exit status %d, want %d:\n%s", code, tc.code, out)
			}
			for _, want := range tc.want {
				if !strings.Contains(out, want) {
					t.Errorf("it does not say %q:\n%s", want, out)
				}
			}
		})
	}
}

func TestE2ETheFolderMayHoldNoPlugins(t *testing.T) {
	s := apphosttest.Start(t, `
[plugins]
cache_dir = "CACHE"
[[listen]]
name = "web"
address = "127.0.0.1:0"
`, nil)
	if page, err := get("http://" + s.Addr("web") + "/"); err != nil || !strings.Contains(page, "it works") {
		t.Errorf("GET /: %v\n%s", err, page)
	}
	sockets := s.ControlFiles()
	if len(sockets) != 1 {
		t.Fatalf("control sockets while it runs: %v", sockets)
	}
	if info, err := os.Lstat(sockets[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("control socket: %v, %v; want mode 0600", info, err)
	}
	s.Stop()
	if left := s.ControlFiles(); len(left) > 0 {
		t.Errorf("control sockets after the stop: %v", left)
	}
}
