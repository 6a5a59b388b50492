package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// late is a configuration of plugins that take longer than they may.
const late = `
[plugins]
cache_dir = "CACHE"
[mpm]
candidate_timeout = "60s"
start_servers = 2
[http]
body_timeout = "60s"
write_timeout = "60s"
[[listen]]
name = "web"
address = "127.0.0.1:0"
[[listen]]
name = "tcp"
address = "127.0.0.1:0"
protocol = "tcp"
plugin = "late_tcp"
[[listen]]
name = "inetd"
address = "127.0.0.1:0"
protocol = "tcp"
plugin = "late_program"
[[route]]
path = "/cgi"
plugin = "late_program"
[[route]]
path = "/chain"
chain = ["late_http", "late_program"]
`

var latePlugins = map[string]string{
	"late_http": "testdata/late_http.wasm", "late_tcp": "testdata/late_tcp.wasm", "late_program": "testdata/late_program.wasm",
}

// bothModels runs a test with the configuration in each model.
func bothModels(t *testing.T, config string, plugins map[string]string, test func(t *testing.T, s *apphosttest.Server)) {
	for model, settings := range map[string]string{
		"prefork": "[mpm]\nmin_spare_servers = 1\nmax_spare_servers = 2\n",
		"worker":  "[mpm]\nmodel = \"worker\"\nthreads_per_child = 8\nmin_spare_threads = 1\nmax_spare_threads = 32\n",
	} {
		t.Run(model, func(t *testing.T) {
			test(t, apphosttest.Start(t, strings.Replace(config, "[mpm]\n", settings, 1), plugins))
		})
	}
}

// A plugin that takes longer than its timeout is ended when it calls the host or in
// a call that waits, whatever that is; its child goes on.
func TestE2EAPluginThatTakesTooLongIsEnded(t *testing.T) {
	const limit = 300 * time.Millisecond
	config := late
	for name := range latePlugins {
		config += fmt.Sprintf("[plugin.%s]\ntimeout = %q\n", name, limit)
	}
	request := func(path, body string, length int) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", path, length, body)
	}
	const cut = 200 // has begun
	bothModels(t, config, latePlugins, func(t *testing.T, s *apphosttest.Server) {
		before, seen := s.Children(), map[any]bool{}
		for _, c := range []struct {
			listener, send string
			status         int // 0 on tcp
			plugin, call   string
		}{
			{"web", request("/late_http/", "s", 1), http.StatusGatewayTimeout, "late_http", "poll_oneoff"},
			{"web", request("/late_http/", "r", 2), http.StatusGatewayTimeout, "late_http", "read_body"},
			{"web", request("/late_http/", "c", 1), http.StatusGatewayTimeout, "late_http", "get_method"},
			{"web", request("/late_http/", "a", 1), cut, "late_http", "poll_oneoff"},
			{"web", request("/late_http/", "w", 1), cut, "late_http", "write_body"},
			{"web", request("/cgi", "s", 1), http.StatusGatewayTimeout, "late_program", "poll_oneoff"},
			{"web", request("/cgi", "r", 2), http.StatusGatewayTimeout, "late_program", "fd_read"},
			{"web", request("/cgi", "c", 1), http.StatusGatewayTimeout, "late_program", "sched_yield"},
			{"web", request("/cgi", "w", 1), cut, "late_program", "fd_write"},
			{"tcp", "s", 0, "late_tcp", "poll_oneoff"},
			{"tcp", "c", 0, "late_tcp", "stopping"},
			{"tcp", "w", 0, "late_tcp", "conn_write"},
			{"tcp", "e", 0, "late_tcp", "conn_read"},
			{"inetd", "s", 0, "late_program", "poll_oneoff"},
			{"inetd", "c", 0, "late_program", "sched_yield"},
			{"inetd", "w", 0, "late_program", "fd_write"},
			{"inetd", "r", 0, "late_program", "fd_read"},
		} {
			name := c.plugin + " in " + c.call + " on " + c.listener
			conn, begun := dialTo(t, s.Addr(c.listener)), time.Now()
			if _, err := io.WriteString(conn, c.send); err != nil {
				t.Fatal(err)
			}
			if c.listener != "web" && (c.send == "e" || c.send == "r") {
				_ = conn.CloseWrite() // it reads on at the end
			}
			line, ok := s.WaitLog("a plugin took too long; ending it", func(e map[string]any) bool { return !seen[e["connection"]] })
			if !ok || line["plugin"] != c.plugin || line["host_call"] != c.call || line["timeout"] != limit.String() || time.Since(begun) < limit {
				t.Fatalf("%s: after %s the log says %v", name, time.Since(begun), line)
			}
			seen[line["connection"]] = true
			expectEnd(t, name, conn, c.status, cut)
		}
		for _, path := range []string{"/late_http/", "/cgi"} {
			if got := exchangeWith(t, s.Addr("web"), request(path, "x", 1)); !strings.HasSuffix(got, "fine") {
				t.Errorf("afterwards %s answers %q", path, got)
			}
		}
		if now := s.Children(); slices.ContainsFunc(before, func(pid int) bool { return !slices.Contains(now, pid) }) && strings.Contains(s.Log(), "child died") {
			t.Errorf("a child died:\n%s", s.Log())
		}
	})
}

// expectEnd reads what a client still gets.
func expectEnd(t *testing.T, name string, conn *net.TCPConn, status, cut int) {
	t.Helper()
	if status == 0 {
		if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: its connection is not closed: %v", name, err)
		}
		return
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	defer func() { _ = res.Body.Close() }()
	_, err = io.Copy(io.Discard, res.Body)
	if res.StatusCode != status || (err != nil) != (status == cut) {
		t.Errorf("%s: status %d, then %v", name, res.StatusCode, err)
	}
}

func dialTo(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(apphosttest.Patience))
	return conn.(*net.TCPConn)
}

// exchangeWith sends a request and returns all of the response.
func exchangeWith(t *testing.T, addr, request string) string {
	t.Helper()
	conn := dialTo(t, addr)
	if _, err := io.WriteString(conn, strings.Replace(request, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

// What does not count: the time in which a tcp plugin waits for its client, and that
// of what is behind a plugin in a chain, which has its own.
func TestE2EOnlyAPluginsOwnTimeCounts(t *testing.T) {
	config := late + "[plugin.late_tcp]\ntimeout = \"50ms\"\n[plugin.late_http]\ntimeout = \"50ms\"\n[plugin.late_program]\ntimeout = \"400ms\"\n"
	bothModels(t, config, latePlugins, func(t *testing.T, s *apphosttest.Server) {
		roundTrip, hangUp := hold(t, s.Addr("tcp"))
		defer hangUp()
		begun := time.Now()
		// The first plugin reads the n and passes the rest on.
		got := exchangeWith(t, s.Addr("web"), "POST /chain HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nns")
		if !strings.HasPrefix(got, "HTTP/1.1 504 ") || time.Since(begun) < 400*time.Millisecond {
			t.Errorf("after %s: %q", time.Since(begun), got)
		}
		if line, ok := s.WaitLog("a plugin took too long; ending it", nil); !ok || line["plugin"] != "late_program" {
			t.Errorf("the log says %v", line)
		}
		if err := roundTrip(); err != nil {
			t.Errorf("a connection that was silent for %s: %v", time.Since(begun), err)
		}
	})
}
