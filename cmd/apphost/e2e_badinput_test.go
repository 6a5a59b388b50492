package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// hostile has one child, with short timeouts, so that it is the same one that
// meets the bad input and serves the next request.
const hostile = `
[log]
level = "debug"
[plugins]
cache_dir = "CACHE"
[mpm]
candidate_timeout = "60s"
start_servers = 1
min_spare_servers = 1
max_spare_servers = 2
max_request_workers = 1
[http]
first_byte_timeout = "300ms"
header_timeout = "300ms"
body_timeout = "300ms"
write_timeout = "300ms"
[[listen]]
name = "web"
address = "127.0.0.1:0"
defer_accept = "1s"
`

func startHostile(t *testing.T) *apphosttest.Server {
	t.Helper()
	return apphosttest.Start(t, hostile, map[string]string{
		"hello": helloWasm, "flood": "testdata/flood.wasm", "bad_header": "testdata/bad_header.wasm", "no_blank_line": "testdata/no_blank_line.wasm",
		"eats": "testdata/eats.wasm",
	})
}

// answerTo sends raw on a connection of its own, which stays open for writing,
// and returns the status of each answer until the server closes it.
func answerTo(t *testing.T, addr, raw string) (statuses []int) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(apphosttest.Patience))
	go func() { _, _ = io.WriteString(conn, raw) }() // it may be cut off
	in := bufio.NewReader(conn)
	for {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return statuses
		}
		statuses = append(statuses, res.StatusCode)
		_, _ = io.Copy(io.Discard, res.Body)
	}
}

// memoryOf is how much memory a process has in use, in bytes.
func memoryOf(t *testing.T, pid int) int {
	t.Helper()
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// wantUnharmed fails unless the same child serves the next request.
func wantUnharmed(t *testing.T, s *apphosttest.Server, children []int) {
	t.Helper()
	if body, err := get("http://" + s.Addr("web") + "/hello/"); err != nil || !strings.Contains(body, "Hello") {
		t.Errorf("the next request: %q, %v", body, err)
	}
	if now := s.Children(); !slices.Equal(now, children) {
		t.Errorf("children %v became %v", children, now)
	}
}

// What clients send can cost them their own connection, with a status that says
// why where that can be said, and it is no error of the server.
func TestE2EBadInputOfClients(t *testing.T) {
	s := startHostile(t)
	children := s.Children()
	wantUnharmed(t, s, children)
	const end = "\r\n\r\n"
	for _, tc := range []struct {
		name, raw string
		want      []int
	}{
		{"nothing", "", nil},
		{"slow header", "GET /hello/ HTTP/1.1\r\nHo", []int{408}},
		{"slow body", "POST /eats/ HTTP/1.1\r\nHost: a\r\nContent-Length: 10" + end + "abc", []int{408}},
		{"huge header", "GET /hello/ HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 1<<20) + end, []int{431}},
		{"bad chunk", "POST /eats/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked" + end + "x\r\nabc\r\n0" + end, []int{400}},
		{"two lengths", "POST /hello/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4" + end + "abcd", []int{400}},
		{"length and chunks", "POST /hello/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked" + end + "0" + end, []int{400}},
		{"obsolete folding", "GET /hello/ HTTP/1.1\r\nHost: a\r\nX: a\r\n b" + end, []int{400}},
		{"absolute URI", "GET http://a/hello/ HTTP/1.1\r\nHost: b\r\nConnection: close" + end, []int{200}},
		{"absolute URI with a user", "GET http://u:p@a/hello/ HTTP/1.1\r\nHost: b" + end, []int{400}},
		{"NUL in a header", "GET /hello/ HTTP/1.1\r\nHost: a\r\nX: a\x00b" + end, []int{400}},
		{"URI of 1 MB", "GET /" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\nHost: a" + end, []int{431}},
		{"large body", "POST /hello/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000" + end, []int{413}},
		{"not HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + end, []int{400}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := answerTo(t, s.Addr("web"), tc.raw); !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
			wantUnharmed(t, s, children)
		})
	}
	before := memoryOf(t, children[0])
	for range 100 {
		answerTo(t, s.Addr("web"), "GET /hello/ HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat("a", 1<<20)+end)
	}
	if grown := memoryOf(t, children[0]) - before; grown > 16<<20 && !apphosttest.Race {
		t.Errorf("100 huge headers took %d bytes", grown)
	}
	s.Stop()
	for line := range strings.Lines(s.Log()) {
		if strings.Contains(line, `"ERROR"`) || strings.Contains(line, `"WARN"`) && strings.Contains(line, `"slot":0`) {
			t.Errorf("the child complains: %s", line)
		}
	}
}

// What a guest does wrong costs its own request, and one line in the log that
// says which that was.
func TestE2EBadInputOfGuests(t *testing.T) {
	s := startHostile(t)
	children := s.Children()
	const requests = 5
	tests := []struct{ plugin, message string }{
		{"bad_header", "guest failed"},
		{"no_blank_line", "program's response is not one"},
	}
	for _, tc := range tests {
		for range requests {
			if got := answerTo(t, s.Addr("web"), "GET /"+tc.plugin+"/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !slices.Equal(got, []int{500}) {
				t.Errorf("%s: got %v, want 500", tc.plugin, got)
			}
			wantUnharmed(t, s, children)
		}
		entry, ok := s.WaitLog(tc.message, func(e map[string]any) bool { return e["plugin"] == tc.plugin })
		if !ok || entry["request"] == nil {
			t.Errorf("%s: no line that names the request: %v", tc.plugin, entry)
		}
	}
	s.Stop()
	for _, tc := range tests {
		if n := strings.Count(s.Log(), `"plugin":"`+tc.plugin+`","connection"`); n != requests {
			t.Errorf("%s: %d lines for %d requests:\n%s", tc.plugin, n, requests, s.Log())
		}
	}
}

// A guest that writes without end to a client that does not read holds nothing
// but its own connection, and that for write_timeout.
func TestE2EAGuestThatWrites10GiB(t *testing.T) {
	s := startHostile(t)
	children := s.Children()
	wantUnharmed(t, s, children)
	before := memoryOf(t, children[0])
	for _, read := range []int64{0, 64 << 20} {
		conn, err := net.Dial("tcp", s.Addr("web"))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(apphosttest.Patience))
		if _, err := io.WriteString(conn, "GET /flood/ HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if n, err := io.CopyN(io.Discard, conn, read); err != nil {
			t.Errorf("read %d bytes: %v", n, err)
		}
		wantUnharmed(t, s, children) // when the timeout has passed: there is one child
		if grown := memoryOf(t, children[0]) - before; grown > 16<<20 && !apphosttest.Race {
			t.Errorf("it took %d bytes", grown)
		}
		_ = conn.Close()
	}
	if strings.Contains(s.Log(), `"ERROR"`) {
		t.Errorf("a client that does not read is no error:\n%s", s.Log())
	}
}
