package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/apphost/apphost/cmd/apphost/internal/statuspage"
	"github.com/apphost/apphost/cmd/apphosttest"
)

const withStatus = plain + `
[status]
path = "/server-status"
`

// fetch makes one request on a connection of its own.
func fetch(t *testing.T, method, url string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range header {
		req.Header.Set(name, "192.0.2.1")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: apphosttest.Patience}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// auto is what the page says to programs.
func auto(t *testing.T, s *apphosttest.Server) map[string]string {
	t.Helper()
	res, body := fetch(t, "GET", "http://"+s.Addr("web")+"/server-status?auto")
	if res.StatusCode != 200 {
		t.Fatalf("status %s: %s", res.Status, body)
	}
	values := make(map[string]string)
	for line := range strings.Lines(body) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		values[key] = value
	}
	return values
}

func TestE2EStatusPage(t *testing.T) {
	s := apphosttest.Start(t, withStatus, map[string]string{"hello": helloWasm, "echo": echoWasm})
	page := "http://" + s.Addr("web") + "/server-status"

	// A client whose request stays on the page, for its connection stays open.
	evil, err := net.Dial("tcp", s.Addr("web"))
	if err != nil {
		t.Fatal(err)
	}
	defer evil.Close()
	fmt.Fprint(evil, "GET /hello/?<script>&to=//u:secret@h HTTP/1.1\r\nHost: h\r\nUser-Agent: <script>\r\n\r\n")
	if res, err := http.ReadResponse(bufio.NewReader(evil), nil); err != nil || res.StatusCode != 200 {
		t.Fatalf("%v, %v", res, err)
	}
	res, body := fetch(t, "GET", page)
	if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("status %s, header %v", res.Status, res.Header)
	}
	if strings.Contains(body, "<script") || strings.Contains(body, "secret") ||
		!strings.Contains(body, "GET /hello/?&lt;script&gt;&amp;to=//u:XXXXXXXX@h") {
		t.Errorf("what a client sent:\n%s", body)
	}
	for _, want := range []string{"K", "GET /server-status", evil.LocalAddr().String(), s.Addr("echo") + " (echo)", fmt.Sprint(s.PID)} {
		if !strings.Contains(body, want) {
			t.Errorf("it does not say %q:\n%s", want, body)
		}
	}

	_, body = fetch(t, "GET", page+"?json")
	var report statuspage.Report
	if err := json.Unmarshal([]byte(body), &report); err != nil || report.PID != s.PID || report.Busy != 2 || report.Model != "prefork" {
		t.Errorf("json: %+v, %v", report, err)
	}
	if res, body = fetch(t, "HEAD", page); res.StatusCode != 200 || body != "" {
		t.Errorf("HEAD: %s, %q", res.Status, body)
	}
	if res, _ = fetch(t, "POST", page); res.StatusCode != 405 {
		t.Errorf("POST: %s", res.Status)
	}
	if res, _ = fetch(t, "GET", page, "X-Forwarded-For"); res.StatusCode != 403 {
		t.Errorf("forwarded: %s", res.Status)
	}
	if _, body = fetch(t, "GET", "http://"+s.Addr("web")+"/"); strings.Contains(body, "server-status") {
		t.Errorf("everyone is told of the page:\n%s", body)
	}
	out, code := s.Run("status", "-c", "config.toml")
	if code != 0 || !strings.Contains(out, "GET /hello/?<script>") || strings.Contains(out, "secret") {
		t.Errorf("status: exit status %d: %s", code, out)
	}
}

// The page is there or not, and is seen by whom, as the last good reload says.
func TestE2EAReloadChangesTheStatusPage(t *testing.T) {
	s := startPlain(t)
	page := "http://" + s.Addr("web") + "/server-status"
	for _, step := range []struct {
		config string
		want   int
	}{
		{"", 404},
		{"[status]\npath = \"/server-status\"\nallow = [\"192.0.2.1\"]\n", 403},
		{"[status]\npath = \"/server-status\"\n", 200},
		{"", 404},
	} {
		s.Configure(plain + step.config)
		s.Reload()
		if res, body := fetch(t, "GET", page); res.StatusCode != step.want {
			t.Errorf("with %q: %s\n%s", step.config, res.Status, body)
		}
	}
}

// Clients of a Unix socket have no address.
func TestE2EStatusPageOnAUnixSocket(t *testing.T) {
	s := apphosttest.Start(t, withStatus+"[[listen]]\nname = \"local\"\naddress = \"unix:web.sock\"\n",
		map[string]string{"hello": helloWasm, "echo": echoWasm})
	dial := func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", filepath.Join(s.Dir, "web.sock"))
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: apphosttest.Patience}
	res, err := client.Get("http://localhost/server-status?auto")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		t.Errorf("status %s", res.Status)
	}
}

// Requests and bytes are counted once each, whoever serves them, and those of a
// child that died count on.
func TestE2ETotalsOutliveChildren(t *testing.T) {
	s := apphosttest.Start(t, withStatus, map[string]string{"hello": helloWasm, "echo": echoWasm})
	total := func(key string) int {
		n, err := strconv.Atoi(auto(t, s)[key])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := total("Total Accesses")
	const each, size = 5, 8 << 10
	for range each {
		if _, err := get("http://" + s.Addr("web") + "/hello/"); err != nil {
			t.Fatal(err)
		}
		if err := echo(s.Addr("echo"), strings.Repeat("x", size)); err != nil {
			t.Fatal(err)
		}
	}
	asked := 1 // the one above
	apphosttest.Eventually(t, apphosttest.Patience, "all are counted", func() bool {
		n := total("Total Accesses")
		asked++
		return n >= before+2*each+asked-1
	})
	accesses, kBytes := total("Total Accesses"), total("Total kBytes")
	if most := before + 2*each + asked; accesses > most {
		t.Errorf("%d accesses, there were %d", accesses, most)
	}
	if kBytes < each*size/1024 {
		t.Errorf("%d kB sent, at least %d were", kBytes, each*size/1024)
	}
	for _, pid := range s.Children() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		if n := total("Total Accesses"); n < accesses {
			t.Fatalf("%d accesses, %d before their children died", n, accesses)
		}
	}
	s.Reload()
	if n := total("Total kBytes"); n < kBytes {
		t.Errorf("%d kB, %d before a reload", n, kBytes)
	}
}

// With the worker model each thread of a child has a letter and a line.
func TestE2EStatusPageOfTheWorkerModel(t *testing.T) {
	threaded := strings.Replace(withStatus, "[mpm]", "[mpm]\nmodel = \"worker\"\nthreads_per_child = 4\nstart_servers = 1\n"+
		"max_request_workers = 8\nmin_spare_threads = 1\nmax_spare_threads = 8\nserver_limit = 4", 1)
	s := apphosttest.Start(t, threaded, map[string]string{"hello": helloWasm, "echo": echoWasm})
	for range 2 {
		roundTrip, hangUp := hold(t, s.Addr("echo"))
		t.Cleanup(hangUp)
		if err := roundTrip(); err != nil {
			t.Fatal(err)
		}
	}
	values := auto(t, s)
	if values["ServerMPM"] != "worker" || values["BusyWorkers"] != "3" || values["IdleWorkers"] != "1" || len(values["Scoreboard"]) != 8 {
		t.Errorf("it says %q", values)
	}
	_, body := fetch(t, "GET", "http://"+s.Addr("web")+"/server-status")
	if n := strings.Count(body, "<td>plugin echo"); n != 2 {
		t.Errorf("%d connections of the echo plugin are shown, want 2:\n%s", n, body)
	}
}

// The page goes on over upgrades, and so do the totals that it shows.
func TestE2EAnUpgradeKeepsTheStatus(t *testing.T) {
	s := startOwn(t, withStatus)
	const each = 20
	for range each {
		if _, err := get("http://" + s.Addr("web") + "/hello/"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 {
		upgradeTo(t, s, s.Dir+"/apphost", version)
		values := auto(t, s)
		if n, err := strconv.Atoi(values["Total Accesses"]); err != nil || n < each {
			t.Errorf("%d accesses after upgrade %d, %v; there were %d before", n, i+1, err, each)
		}
		if got, want := values["ParentServerConfigGeneration"], strconv.Itoa(i+2); got != want {
			t.Errorf("generation %s is shown, want %s", got, want)
		}
	}
}
