package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// wards are plugins that fail when they are asked to, with neighbours that do not.
// Three failures are too many.
func wards(t *testing.T, model string) *apphosttest.Server {
	t.Helper()
	config := strings.Replace(plain, "[plugins]\n", "[plugins]\nquarantine_after = 3\n", 1)
	config = strings.Replace(config, "[mpm]\n", "[mpm]\n"+model+"\n", 1)
	s := apphosttest.New(t, config+`
[[listen]]
name = "other"
address = "127.0.0.1:0"
protocol = "tcp"
plugin = "other"
[[route]]
path = "/chain/"
chain = ["crash", "hello"]
[status]
path = "/server-status"
[plugin.hello]
mount = true
[plugin.spin]
cpu_timeout = "200ms"
`, map[string]string{
		"hello": helloWasm, "other": echoWasm, "crash": "testdata/crash_http.wasm",
		"echo": "testdata/crash_tcp.wasm", "spin": "testdata/spin.wasm",
	})
	s.OwnBinary()
	s.Start()
	return s
}

// request makes a request on a connection of its own and returns the status of the
// answer, or 0 if there is none, and the body.
func request(s *apphosttest.Server, method, path string) (int, string, http.Header) {
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: apphosttest.Patience}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(context.Background(), method, "http://"+s.Addr("web")+path, strings.NewReader("x"))
	if err != nil {
		return 0, err.Error(), nil
	}
	if method == http.MethodGet {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	res, err := client.Do(r)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body), res.Header
}

func wantStatus(t *testing.T, s *apphosttest.Server, path string, want int) {
	t.Helper()
	if got, body, _ := request(s, http.MethodGet, path); got != want {
		t.Errorf("%s: %d %q, want %d", path, got, body, want)
	}
}

// outOfService waits until requests to a path are refused, which is within a second
// of the failure that was too many.
func outOfService(t *testing.T, s *apphosttest.Server, path string) {
	t.Helper()
	began := time.Now()
	apphosttest.Eventually(t, apphosttest.Patience, path+" is out of service", func() bool {
		code, _, _ := request(s, http.MethodGet, path)
		return code == 503
	})
	if took := time.Since(began); took > 5*time.Second { // the machine may be busy
		t.Errorf("it took %s until %s was out of service", took, path)
	}
}

// neighbours uses the plugins that do not fail until the function returned is
// called, and has no error from any.
func neighbours(t *testing.T, s *apphosttest.Server) (stop func()) {
	t.Helper()
	web, other := "http://"+s.Addr("web")+"/hello/", s.Addr("other")
	over := make(chan struct{})
	var all sync.WaitGroup
	for _, use := range []func() error{
		func() error { _, err := get(web); return err },
		func() error { return echo(other, "ping") },
	} {
		all.Go(func() {
			for used := 0; ; used++ {
				select {
				case <-over:
					if used == 0 {
						t.Error("a neighbour was never used")
					}
					return
				default:
				}
				if err := use(); err != nil {
					t.Errorf("use %d of a neighbour: %v", used, err)
					return
				}
			}
		})
	}
	stop = sync.OnceFunc(func() {
		close(over)
		all.Wait()
	})
	t.Cleanup(stop)
	return stop
}

func TestE2EAPluginThatKeepsCrashingIsQuarantined(t *testing.T) {
	for _, model := range models {
		t.Run(model, func(t *testing.T) {
			s := wards(t, model)
			stop := neighbours(t, s)
			wantStatus(t, s, "/chain/", 200)
			for range 3 {
				if code, body, _ := request(s, http.MethodPost, "/crash/"); code != 500 {
					t.Errorf("a crash: %d %q", code, body)
				}
			}
			outOfService(t, s, "/crash/")
			code, body, header := request(s, http.MethodPost, "/crash/")
			if code != 503 || !strings.Contains(body, "out of service") || header.Get("Retry-After") != "60" {
				t.Errorf("afterwards: %d %q, %v", code, body, header)
			}
			wantStatus(t, s, "/chain/", 503) // hello must not be reached without it
			wantStatus(t, s, "/spin/", 200)
			line, ok := s.WaitLog("plugin is quarantined, for it keeps failing; bring it back with 'apphost plugin release NAME' or a reload", nil)
			if !ok || line["plugin"] != "crash" || line["failures"] != 3.0 || line["level"] != "ERROR" {
				t.Errorf("the log says %v", line)
			}
			stop()
			wantShown(t, s)

			// Children that come later know it as well.
			before := s.Children()
			for _, pid := range before {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
					t.Fatal(err)
				}
			}
			apphosttest.Eventually(t, apphosttest.Patience, "somebody else answers", func() bool {
				code, _, _ := request(s, http.MethodGet, "/crash/")
				return code == 503
			})
			wantReleased(t, s)
		})
	}
}

// wantShown holds that a plugin which is quarantined is seen to be.
func wantShown(t *testing.T, s *apphosttest.Server) {
	t.Helper()
	out, _ := s.Run("status", "-c", "config.toml")
	if !strings.Contains(out, "quarantined") || !strings.Contains(out, "crash since 20") || !strings.Contains(out, "apphost plugin release crash") ||
		!strings.Contains(out, "crash 3") {
		t.Errorf("the status is\n%s", out)
	}
	for _, p := range statusOf(t, s).Codes {
		if (p.Quarantined != nil) != (p.Name == "crash") || (p.Failures != 0) != (p.Name == "crash") {
			t.Errorf("the status says %+v", p)
		}
	}
	if _, page, _ := request(s, http.MethodGet, "/server-status"); !strings.Contains(page, "plugin crash since 20") || !strings.Contains(page, "crash: 3") {
		t.Errorf("the page is\n%s", page)
	}
}

// wantReleased releases the plugin crash.
func wantReleased(t *testing.T, s *apphosttest.Server) {
	t.Helper()
	if out, code := s.Run("plugin", "release", "crash", "-c", "config.toml"); code != 0 || out != "plugin crash serves again\n" {
		t.Errorf("release: exit status %d: %s", code, out)
	}
	for range 10 {
		wantStatus(t, s, "/crash/", 200)
	}
	wantStatus(t, s, "/chain/", 200)
	if code, _, _ := request(s, http.MethodPost, "/crash/"); code != 500 { // one is not too many
		t.Errorf("a crash after the release: %d", code)
	}
	wantStatus(t, s, "/crash/", 200)
	for args, want := range map[string]string{
		"plugin release crash":         `apphost: plugin "crash" is not quarantined`,
		"plugin release none":          `apphost: there is no plugin "none"; have: crash, echo, hello, other, spin`,
		"plugin release":               "takes the name of one plugin, got 0",
		"plugin release crash spin":    "takes the name of one plugin, got 2",
		"plugin":                       "plugin takes a command: release",
		"plugin quarantine crash":      "",
		"plugin release crash -c none": "no server",
	} {
		flags := []string{"-c", "config.toml"}
		if strings.Contains(args, "-c") {
			flags = nil
		}
		if out, code := s.Run(append(strings.Fields(args), flags...)...); code == 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit status %d: %s", args, code, out)
		}
	}
}

func TestE2EAPluginThatKeepsOverrunningIsQuarantined(t *testing.T) {
	for _, model := range models {
		t.Run(model, func(t *testing.T) {
			s := wards(t, model)
			stop := func() {}
			if model == models[0] { // in a worker, others are lost with the child
				stop = neighbours(t, s)
			}
			for range 3 {
				if code, body, _ := request(s, http.MethodPost, "/spin/"); code != 0 {
					t.Errorf("it answers %d %q", code, body)
				}
			}
			outOfService(t, s, "/spin/")
			if code, _, _ := request(s, http.MethodPost, "/spin/"); code != 503 {
				t.Errorf("it answers %d", code)
			}
			stop()
			stop = neighbours(t, s)
			for range 20 {
				if code, _, _ := request(s, http.MethodPost, "/spin/"); code != 503 {
					t.Errorf("it answers %d", code)
				}
			}
			stop()
			st := statusOf(t, s)
			if st.Overruns != 3 {
				t.Errorf("%d overruns", st.Overruns)
			}
			s.Reload()
			wantStatus(t, s, "/spin/", 200)
			for _, p := range statusOf(t, s).Codes {
				if p.Quarantined != nil || p.Failures != 0 {
					t.Errorf("after the reload: %+v", p)
				}
			}
		})
	}
}

// A quarantined plugin's listener closes connections at once, whether the client
// sends something or not.
func TestE2EATCPPluginThatKeepsCrashingIsQuarantined(t *testing.T) {
	for _, model := range models {
		t.Run(model, func(t *testing.T) {
			s := wards(t, model)
			stop := neighbours(t, s)
			roundTrip, hangUp := hold(t, s.Addr("echo"))
			defer hangUp()
			for range 3 {
				if err := echo(s.Addr("echo"), "!"); err == nil {
					t.Error("it echoes what it is to crash at")
				}
			}
			apphosttest.Eventually(t, apphosttest.Patience, "it is out of service", func() bool {
				conn, err := net.Dial("tcp", s.Addr("echo"))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				_, err = conn.Read(make([]byte, 1))
				return errors.Is(err, io.EOF)
			})
			if err := echo(s.Addr("echo"), "ping"); err == nil {
				t.Error("it echoes")
			}
			if err := roundTrip(); err != nil {
				t.Errorf("a connection from before: %v", err)
			}
			stop()
			if out, code := s.Run("plugin", "release", "echo", "-c", "config.toml"); code != 0 {
				t.Errorf("release: exit status %d: %s", code, out)
			}
			if err := echo(s.Addr("echo"), "ping"); err != nil {
				t.Errorf("after the release: %v", err)
			}
		})
	}
}

// A child that dies while a plugin runs, for what reason ever, is a failure of that
// plugin.
func TestE2EAChildThatDiesCountsAgainstWhatItRan(t *testing.T) {
	config := strings.Replace(plain, "[plugins]\n", "[plugins]\nquarantine_after = 1\n", 1) + "[plugin.spin]\ncpu_timeout = \"0s\"\n"
	s := apphosttest.Start(t, config, map[string]string{"hello": helloWasm, "echo": echoWasm, "spin": "testdata/spin.wasm"})
	ended := make(chan int, 1)
	go func() {
		code, _, _ := request(s, http.MethodPost, "/spin/")
		ended <- code
	}()
	pid := 0
	apphosttest.Eventually(t, apphosttest.Patience, "it runs", func() bool {
		for _, slot := range statusOf(t, s).Slots {
			for _, w := range slot.Workers {
				if slot.State == "writing" && w.Request == "POST /spin/" {
					pid = slot.PID
				}
			}
		}
		return pid != 0 && apphosttest.State(pid) == "R"
	})
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := <-ended; code != 0 {
		t.Errorf("it answers %d", code)
	}
	outOfService(t, s, "/spin/")
	wantStatus(t, s, "/hello/", 200)
}

// An upgrade that fails leaves a quarantine as it was, and one that can be ended;
// one that succeeds is a reload.
func TestE2EAQuarantineAndUpgrades(t *testing.T) {
	s := wards(t, models[0])
	crash := func() {
		for range 3 {
			request(s, http.MethodPost, "/crash/")
		}
		outOfService(t, s, "/crash/")
	}
	crash()
	gives := apphosttest.Variant(t, "cmd/apphost/child.go", "h, err := openHost(c)", "h, err := openHost(nil)")
	if out, code := s.Run("upgrade", "-c", "config.toml", "--binary", gives); code != 1 || !strings.Contains(out, "not upgraded") {
		t.Fatalf("a bad upgrade: exit status %d: %s", code, out)
	}
	wantStatus(t, s, "/crash/", 503)
	if out, _ := s.Run("status", "-c", "config.toml"); !strings.Contains(out, "crash since 20") {
		t.Errorf("the status is\n%s", out)
	}
	if out, code := s.Run("plugin", "release", "crash", "-c", "config.toml"); code != 0 {
		t.Errorf("release: exit status %d: %s", code, out)
	}
	apphosttest.Eventually(t, apphosttest.Patience, "all children have the new flags", func() bool {
		for range 20 {
			if code, _, _ := request(s, http.MethodGet, "/crash/"); code != 200 {
				return false
			}
		}
		return true
	})
	crash() // they are heard, too
	upgradeTo(t, s, nextVersion(t), "9.9.9")
	wantStatus(t, s, "/crash/", 200)
}
