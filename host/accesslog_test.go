package host_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/host/accesslog"
	"github.com/apphost/apphost/host/internal/hosttest"
)

// logLine is what the tests want to know of a line.
type logLine struct {
	ID, Listener, Protocol, URI, Plugin, Route string
	Status                                     int
	Slot, Connection                           int
	Generation                                 int
	Guest                                      *int64 `json:"guest_us"`
	Took                                       int64  `json:"duration_us"`
	Sent                                       int64  `json:"sent_bytes"`
}

func logLines(t *testing.T, text string) (lines []logLine) {
	t.Helper()
	for line := range strings.Lines(text) {
		var l logLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		lines = append(lines, l)
	}
	return lines
}

// Lines say what answered, which child that was, and how long guests took:
// without what is behind them, and without waits for the client.
func TestAccessLogOfPlugins(t *testing.T) {
	logger, _ := hosttest.Logger()
	var out bytes.Buffer
	h, err := host.New(t.Context(), host.Config{
		Plugins:   []host.Plugin{plugin(t, "pass", passFile), mounted(plugin(t, "hello", helloFile)), plugin(t, "echo", "../plugins/echo.wasm")},
		Listeners: []host.Listener{{Name: "web", Protocol: host.HTTP}, {Name: "raw", Protocol: host.TCP, Plugin: "echo"}},
		Routes: []host.Route{
			{Path: "/0/", Chain: []string{"pass", "pass", "hello"}},
			{Path: "/0/text", Chain: []string{"pass"}, Respond: &host.Respond{Status: 203, ContentType: "text/x", Body: "text"}},
			{Host: "test", Path: "/plain", Respond: &host.Respond{Status: 200, ContentType: "text/x", Body: "text"}},
		},
		CacheDir: t.TempDir(), Logger: logger, Slot: 3, Generation: 7, AccessLog: &out, AccessFormat: accesslog.JSON,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	for _, test := range []struct{ path, plugin, route string }{
		{"/0/", "hello", "/0/"},
		{"/0/text", "pass", "/0/text"},
		{"/hello/", "hello", "/hello/"},
		{"/plain", "", "test/plain"},
		{"/none", "", ""},
	} {
		out.Reset()
		status, _ := request(t, h, test.path)
		lines := logLines(t, out.String())
		if len(lines) != 1 {
			t.Fatalf("%s: %q", test.path, out.String())
		}
		l := lines[0]
		if l.URI != test.path || l.Plugin != test.plugin || l.Route != test.route || l.Status != status ||
			l.Generation != 7 || l.Slot != 3 || l.Listener != "web" || !strings.HasSuffix(l.ID, "-42-1") {
			t.Errorf("%s: %+v", test.path, l)
		}
		if (l.Guest == nil) != (test.plugin == "") || l.Guest != nil && (*l.Guest < 0 || *l.Guest > l.Took) {
			t.Errorf("%s: guest time %v of %d", test.path, l.Guest, l.Took)
		}
	}
	out.Reset()
	if got := exchange(t, h, "raw", "hello"); got != "hello" {
		t.Fatalf("echo says %q", got)
	}
	lines := logLines(t, out.String())
	if len(lines) != 1 || lines[0].Plugin != "echo" || lines[0].Protocol != "tcp" || lines[0].Sent != 5 || lines[0].Listener != "raw" || lines[0].Status != 0 {
		t.Errorf("a tcp connection: %q", out.String())
	}
}

// A plugin that waits for its client takes no time of its own.
func TestGuestTimeIsWithoutWaits(t *testing.T) {
	logger, _ := hosttest.Logger()
	var out bytes.Buffer
	h, err := host.New(t.Context(), host.Config{
		Plugins:   []host.Plugin{plugin(t, "echo", "../plugins/echo.wasm")},
		Listeners: []host.Listener{{Name: "raw", Protocol: host.TCP, Plugin: "echo"}},
		CacheDir:  t.TempDir(), Logger: logger, AccessLog: &out, AccessFormat: accesslog.JSON,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	if _, err := guestWaits(t, h, 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	l := logLines(t, out.String())[0]
	if l.Took < 300_000 || *l.Guest > l.Took-290_000 {
		t.Errorf("guest time %d of %d µs", *l.Guest, l.Took)
	}
}

// guestWaits has the plugin of the raw listener wait for its client.
func guestWaits(t *testing.T, h *host.Host, wait time.Duration) (string, error) {
	t.Helper()
	c, client := hosttest.Pair(t, "raw")
	served := make(chan struct{})
	go func() {
		defer close(served)
		h.ServeConn(t.Context(), c)
		_ = c.Close()
	}()
	<-time.After(wait)
	if _, err := io.WriteString(client, "late"); err != nil {
		return "", err
	}
	_ = client.CloseWrite()
	got, err := io.ReadAll(client)
	<-served
	return string(got), err
}

// What tells requests apart in lines of text is not for connections.
func TestOnlyJSONHasLinesOfTCPConnections(t *testing.T) {
	logger, _ := hosttest.Logger()
	var out bytes.Buffer
	h, err := host.New(t.Context(), host.Config{
		Plugins:   []host.Plugin{plugin(t, "echo", "../plugins/echo.wasm"), plugin(t, "hello", helloFile)},
		Listeners: []host.Listener{{Name: "web", Protocol: host.HTTP}, {Name: "raw", Protocol: host.TCP, Plugin: "echo"}},
		CacheDir:  t.TempDir(), Logger: logger, AccessLog: &out, AccessFormat: accesslog.Combined,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	exchange(t, h, "raw", "hello")
	request(t, h, "/hello/")
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"GET /hello/ HTTP/1.1" 200 8 "-" "-"`) {
		t.Errorf("got %q", got)
	}
}
