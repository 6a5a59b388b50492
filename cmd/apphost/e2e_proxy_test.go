package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// backend is what the proxy's routes lead to. It tells gone of each request whose
// client has left.
func backend(t *testing.T, gone chan<- string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/api/echo", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	})
	mux.HandleFunc("/api/events", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, "data: first\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		gone <- r.URL.Path
	})
	mux.HandleFunc("/api/slow", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
			gone <- r.URL.Path
		case <-time.After(600 * time.Millisecond):
			_, _ = fmt.Fprintln(w, "slow")
		}
	})
	mux.HandleFunc("/base/socket", func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
		_, _ = io.Copy(c, rw)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s for %s of %s\n", r.Method, r.RequestURI, r.Host, r.Header.Get("X-Forwarded-For"))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

const proxyRoutes = `
[[route]]
path = "/api/"
proxy = "BACKEND"
[[route]]
path = "/based/"
proxy = "BACKEND/base/"
[[route]]
path = "/nobody/"
proxy = "http://127.0.0.1:1"
`

func startProxy(t *testing.T, mpm string) (s *apphosttest.Server, gone chan string) {
	t.Helper()
	gone = make(chan string, 10)
	b := backend(t, gone)
	routes := strings.ReplaceAll(proxyRoutes, "BACKEND", b.URL)
	s = apphosttest.Start(t, strings.Replace(plain, "[mpm]", "[mpm]\n"+mpm, 1)+routes, map[string]string{"hello": helloWasm, "echo": echoWasm})
	out, code := s.Run("routes", "-c", "config.toml")
	if line := "/api/     proxy to " + b.URL + "\n"; code != 0 || !strings.Contains(out, line) {
		t.Errorf("routes prints %q, which lacks %q", out, line)
	}
	return s, gone
}

// models are the process models: connections wait differently in each.
var models = []string{`model = "prefork"`, `model = "worker"`}

func TestE2EProxy(t *testing.T) {
	for _, model := range models {
		t.Run(model, func(t *testing.T) { proxyIsServed(t, model) })
	}
}

func proxyIsServed(t *testing.T, model string) {
	s, gone := startProxy(t, model)
	url := "http://" + s.Addr("web")
	for path, want := range map[string]string{
		"/api/x%2Fy?q":  "GET /api/x%2Fy?q for " + s.Addr("web") + " of 127.0.0.1\n",
		"/based/a/../b": "GET /base/b for " + s.Addr("web") + " of 127.0.0.1\n",
		"/api/slow":     "slow\n",
	} {
		if got, err := get(url + path); err != nil || got != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	// Far more than fits between the two ends.
	const many = 32 << 20
	res, err := http.Post(url+"/api/echo", "", io.LimitReader(zeros{}, many))
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if n != many || err != nil {
		t.Errorf("%d bytes came back of %d: %v", n, many, err)
	}
	res, err = http.Get(url + "/nobody/")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if entry, ok := s.WaitLog("upstream failed", nil); !ok || res.StatusCode != 502 || entry["route"] != "/nobody/" {
		t.Errorf("an upstream that is not there: %d, logged %v", res.StatusCode, entry)
	}
	for _, path := range []string{"/api/events", "/api/slow"} {
		c := dialRaw(t, s.Addr("web"), "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		if path == "/api/events" {
			if line, err := bufio.NewReader(c).ReadString('\n'); line != "HTTP/1.1 200 OK\r\n" {
				t.Errorf("%q, %v", line, err)
			}
		}
		_ = c.Close()
		if got := <-gone; got != path {
			t.Errorf("%s was told that the client of %s has gone", got, path)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func dialRaw(t *testing.T, addr, request string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(apphosttest.Patience))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return c
}

// A websocket outlives the generation that it came to.
func TestE2EAProxiedWebSocketOutlivesAReload(t *testing.T) {
	for _, model := range models {
		t.Run(model, func(t *testing.T) { webSocketOutlivesReloads(t, model) })
	}
}

func webSocketOutlivesReloads(t *testing.T, model string) {
	s, _ := startProxy(t, model)
	c := dialRaw(t, s.Addr("web"), "GET /based/socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("upgrade: %v, %v", res, err)
	}
	for _, word := range []string{"one\n", "two\n", "three\n"} {
		if _, err := io.WriteString(c, word); err != nil {
			t.Fatal(err)
		}
		if got, err := r.ReadString('\n'); got != word {
			t.Fatalf("sent %q, got %q, %v", word, got, err)
		}
		if word != "three\n" {
			s.Reload()
		}
	}
	s.Signal(syscall.SIGQUIT)
	if _, ok := s.WaitLog("stopping gracefully", nil); !ok {
		t.Fatal(s.Log())
	}
	if _, err := io.WriteString(c, "last\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := r.ReadString('\n'); got != "last\n" {
		t.Errorf("after the stop: %q, %v", got, err)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
		t.Errorf("at the end: %q, %v", rest, err)
	}
	if err := s.Wait(); err != nil {
		t.Errorf("the stop: %v", err)
	}
}

// A connection that the poller had is one like others between two requests.
func TestE2EAReloadEndsKeepAliveAfterAProxy(t *testing.T) {
	for _, model := range models {
		t.Run(model, func(t *testing.T) { keepAliveEnds(t, model) })
	}
}

func keepAliveEnds(t *testing.T, model string) {
	s, _ := startProxy(t, model)
	c := dialRaw(t, s.Addr("web"), "GET /api/slow HTTP/1.1\r\nHost: x\r\n\r\n")
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); string(body) != "slow\n" {
		t.Fatalf("%q, %v", body, err)
	}
	s.Reload()
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
		t.Errorf("after the reload: %q, %v", rest, err)
	}
}

func TestE2EProxyByCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("there is no curl")
	}
	s, _ := startProxy(t, "")
	file := strings.Repeat("0123456789abcdef", 1<<16)
	for _, args := range [][]string{
		{"--data-binary", "@-"},
		{"--data-binary", "@-", "-H", "Expect: 100-continue"},
		{"--data-binary", "@-", "-H", "Transfer-Encoding: chunked"},
		{"--http1.0", "--data-binary", "@-"},
	} {
		cmd := exec.Command(curl, append(args, "-sS", "--noproxy", "*", "-m", strconv.Itoa(int(apphosttest.Patience.Seconds())), "http://"+s.Addr("web")+"/api/echo")...)
		cmd.Stdin = strings.NewReader(file)
		out, err := cmd.Output()
		if err != nil || string(out) != file {
			t.Errorf("curl %q: %d of %d bytes, %v", args, len(out), len(file), err)
		}
	}
}
