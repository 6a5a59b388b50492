package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/cmd/apphost/internal/statuspage"
	"github.com/apphost/apphost/cmd/apphosttest"
)

// crew is plain with the worker model: one child of eight threads, and room for
// one more.
const crew = `
[plugins]
cache_dir = "CACHE"
[mpm]
model = "worker"
threads_per_child = 8
start_servers = 1
min_spare_threads = 1
max_spare_threads = 16
max_request_workers = 16
server_limit = 6
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

// One child serves TCP and HTTP connections at once, and status shows its
// threads.
func TestE2EAChildOfManyThreads(t *testing.T) {
	s := apphosttest.Start(t, crew, map[string]string{"hello": helloWasm, "echo": echoWasm})
	for range 3 {
		roundTrip, _ := hold(t, s.Addr("echo"))
		if err := roundTrip(); err != nil {
			t.Fatal(err)
		}
	}
	url := "http://" + s.Addr("web") + "/hello/"
	client := &http.Client{Timeout: apphosttest.Patience}
	defer client.CloseIdleConnections()
	for range 3 { // on one connection
		res, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(body), "Hello from WebAssembly!") {
			t.Errorf("GET /hello/: %q, %v", body, err)
		}
		_ = res.Body.Close()
	}
	if n := len(s.Children()); n != 1 {
		t.Errorf("%d children, want one", n)
	}
	var st statuspage.Report
	apphosttest.Eventually(t, apphosttest.Patience, "four of eight threads are busy", func() bool {
		st = statusOf(t, s)
		return st.Busy == 4 && st.Idle == 4
	})
	if st.Model != "worker" || len(st.Slots) != 1 || len(st.Slots[0].Threads) != 8 || strings.Count(st.Slots[0].Threads, "_") != 4 ||
		!strings.Contains(st.Slots[0].Threads, "K") || st.Scoreboard != st.Slots[0].Threads+"........" {
		t.Errorf("status: %+v", st)
	}
	out, code := s.Run("status", "-c", "config.toml")
	if code != 0 || !strings.Contains(out, "4 idle, 4 busy") || !strings.Contains(out, st.Scoreboard) {
		t.Errorf("exit status %d: %s", code, out)
	}
}

func TestE2EReloadsOfWorkersUnderLoadLoseNothing(t *testing.T) {
	s := apphosttest.Start(t, crew, map[string]string{"hello": helloWasm, "echo": echoWasm})
	l := startLoad(t, s, 200)
	for range 5 {
		s.Reload()
	}
	l.wantNone(400)
	s.Configure(strings.ReplaceAll(crew, "max_request_workers = 16", "max_request_workers = 20"))
	if out, code := s.Run("reload", "-c", "config.toml"); code != 1 || !strings.Contains(out, "mpm.max_request_workers: must be a multiple of threads_per_child (8)") {
		t.Errorf("reload with a fault: exit status %d: %s", code, out)
	}
	if err := echo(s.Addr("echo"), "ping"); err != nil {
		t.Error(err)
	}
}

// A keep-alive connection that waits for its next request ends with a reload,
// and its child with it.
func TestE2EAReloadEndsKeepAliveOfWorkers(t *testing.T) {
	s := apphosttest.Start(t, crew, map[string]string{"hello": helloWasm, "echo": echoWasm})
	before := s.Children()
	conn, err := net.Dial("tcp", s.Addr("web"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(apphosttest.Patience))
	if _, err := io.WriteString(conn, "GET /hello/ HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.Close {
		t.Fatalf("the first request: %v, close %v", err, res.Close)
	}
	s.Reload()
	if b, err := r.ReadByte(); err != io.EOF {
		t.Errorf("after the reload: %q, %v; want the end", b, err)
	}
	apphosttest.Eventually(t, apphosttest.Patience, "the old child has left", func() bool {
		return !slices.Contains(s.Children(), before[0])
	})
}

// When the master is killed, a child of many threads finishes what it serves,
// and then leaves.
func TestE2EAWorkerFinishesWithoutItsMaster(t *testing.T) {
	s := apphosttest.Start(t, crew, map[string]string{"hello": helloWasm, "echo": echoWasm})
	_, hangUpFirst := hold(t, s.Addr("echo"))
	second, hangUpSecond := hold(t, s.Addr("echo"))
	s.Kill()
	hangUpFirst()
	if err := second(); err != nil {
		t.Errorf("a busy child did not finish what it serves: %v", err)
	}
	hangUpSecond()
	apphosttest.Eventually(t, promptly, "the last child leaves", func() bool { return len(s.Processes()) == 0 })
}
