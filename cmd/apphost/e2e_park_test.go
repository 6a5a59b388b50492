package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/cmd/apphost/internal/statuspage"
	"github.com/apphost/apphost/cmd/apphosttest"
)

// parked is how many connections a child has parked: they are in two epoll sets, the
// one of its main goroutine and the one of the Go runtime, and nothing else is.
func parked(t *testing.T, pid int) int {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/", pid)
	files, err := os.ReadDir(dir + "fd")
	if err != nil {
		t.Fatal(err)
	}
	sets := map[string]int{} // by the descriptor that is watched
	for _, f := range files {
		if to, err := os.Readlink(dir + "fd/" + f.Name()); err != nil || to != "anon_inode:[eventpoll]" {
			continue
		}
		info, err := os.ReadFile(dir + "fdinfo/" + f.Name())
		if err != nil {
			t.Skipf("what a child watches cannot be seen: %v", err)
		}
		for line := range strings.Lines(string(info)) {
			if words := strings.Fields(line); len(words) > 1 && words[0] == "tfd:" {
				sets[words[1]]++
			}
		}
	}
	n := 0
	for _, in := range sets {
		n += in / 2
	}
	return n
}

func untilParked(t *testing.T, pid, n int) {
	t.Helper()
	apphosttest.Eventually(t, promptly, fmt.Sprintf("%d connections are parked", n), func() bool { return parked(t, pid) == n })
}

// idler is a connection by hand.
type idler struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func dialIdler(t *testing.T, addr string) *idler {
	t.Helper()
	conn := dialTo(t, addr)
	return &idler{conn, t, bufio.NewReader(conn)}
}

func (c *idler) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

func (c *idler) wantAnswer() {
	c.t.Helper()
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(body), "Hello from WebAssembly!") {
		c.t.Errorf("answer: %s %q, %v", res.Status, body, err)
	}
}

func (c *idler) wantEnd() {
	c.t.Helper()
	if b, err := c.r.ReadByte(); err != io.EOF {
		c.t.Errorf("read %q, %v; want the end", b, err)
	}
}

const helloRequest = "GET /hello/ HTTP/1.1\r\nHost: x\r\n\r\n"

// A connection that waits for its next request is parked, and shown as it was. Its
// requests are answered as if it had not been, up to requests_per_connection.
func TestE2EAParkedConnectionGoesOn(t *testing.T) {
	s := apphosttest.Start(t, strings.Replace(crew, "[mpm]", "[http]\nrequests_per_connection = 3\n[mpm]", 1), map[string]string{"hello": helloWasm, "echo": echoWasm})
	child := s.Children()[0]
	client := &http.Client{Timeout: apphosttest.Patience}
	defer client.CloseIdleConnections()
	for i := range 4 {
		reused := false
		trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }}
		request, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", "http://"+s.Addr("web")+"/hello/", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(body), "Hello from WebAssembly!") {
			t.Errorf("request %d: %q, %v", i, body, err)
		}
		_ = res.Body.Close()
		if last, again := i == 2, i == 1 || i == 2; res.Close != last || reused != again {
			t.Errorf("request %d: the last one %v, on the same connection %v; want %v, %v", i, res.Close, reused, last, again)
		}
		if i > 1 {
			continue
		}
		untilParked(t, child, 1)
		var requests, connections uint64
		apphosttest.Eventually(t, promptly, "it is shown as waiting", func() bool {
			st := statusOf(t, s)
			for _, w := range st.Slots[0].Workers {
				requests, connections = requests+w.Requests, connections+w.Connections
			}
			return strings.Count(st.Slots[0].Threads, "K") == 1 && st.Busy == 1
		})
		if requests != uint64(i)+1 || connections != 0 {
			t.Errorf("after %d requests %d requests and %d connections are counted", i+1, requests, connections)
		}
	}
}

func TestE2EAParkedConnectionEndsAtIdleTimeout(t *testing.T) {
	const timeout = 8 * time.Second
	s := apphosttest.Start(t, strings.Replace(crew, "[mpm]", fmt.Sprintf("[http]\nidle_timeout = %q\n[mpm]", timeout), 1), map[string]string{"hello": helloWasm, "echo": echoWasm})
	begun := time.Now()
	c := dialIdler(t, s.Addr("web"))
	c.send(helloRequest)
	c.wantAnswer()
	answered := time.Now()
	untilParked(t, s.Children()[0], 1)
	c.wantEnd()
	// It may come early by an eighth.
	if since, after := time.Since(begun), time.Since(answered); since < timeout-timeout/8 || after > timeout+promptly {
		t.Errorf("it ended %s after the answer, want %s", after, timeout)
	}
	apphosttest.Eventually(t, promptly, "its thread is free", func() bool { return statusOf(t, s).Busy == 0 })
}

// Reload and graceful stop end the parked connections at once; those that have just
// asked are answered.
func TestE2EParkedConnectionsEndWithTheirGeneration(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, s *apphosttest.Server, child int){
		"reload": func(t *testing.T, s *apphosttest.Server, child int) {
			s.Reload()
			apphosttest.Eventually(t, promptly, "the old child has left", func() bool { return !slices.Contains(s.Children(), child) })
		},
		"graceful stop": func(t *testing.T, s *apphosttest.Server, _ int) {
			s.Signal(syscall.SIGQUIT)
			wantGone(t, s)
		},
		"the master's death": func(t *testing.T, s *apphosttest.Server, _ int) {
			s.Kill()
			apphosttest.Eventually(t, promptly, "the child leaves", func() bool { return len(s.Processes()) == 0 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := apphosttest.Start(t, crew, map[string]string{"hello": helloWasm, "echo": echoWasm})
			child := s.Children()[0]
			var idlers []*idler
			for range 6 {
				c := dialIdler(t, s.Addr("web"))
				c.send(helloRequest)
				c.wantAnswer()
				idlers = append(idlers, c)
			}
			untilParked(t, child, len(idlers))
			for _, c := range idlers[:3] {
				c.send(helloRequest)
			}
			begun := time.Now()
			end(t, s, child)
			for i, c := range idlers {
				if i < 3 {
					c.wantAnswer()
				}
				c.wantEnd()
			}
			if took := time.Since(begun); took > promptly {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// As many as there are threads are parked, and all come back at once.
func TestE2EAllThreadsAreParkedAndComeBack(t *testing.T) {
	s := apphosttest.Start(t, strings.Replace(crew, "max_request_workers = 16", "max_request_workers = 8", 1), map[string]string{"hello": helloWasm, "echo": echoWasm})
	child := s.Children()[0]
	var idlers []*idler
	for range 8 {
		c := dialIdler(t, s.Addr("web"))
		c.send(helloRequest)
		idlers = append(idlers, c)
	}
	for range 2 {
		for _, c := range idlers {
			c.wantAnswer()
		}
		untilParked(t, child, len(idlers))
		for _, c := range idlers {
			c.send(helloRequest)
		}
	}
	for _, c := range idlers {
		c.wantAnswer()
	}
	waits := dialIdler(t, s.Addr("web"))
	waits.send(helloRequest)
	untilParked(t, child, len(idlers))
	_ = idlers[0].Close()
	waits.wantAnswer() // it has the thread of the one that left
	var st statuspage.Report
	apphosttest.Eventually(t, promptly, "all threads are busy", func() bool {
		st = statusOf(t, s)
		return st.Busy == len(idlers)
	})
}
