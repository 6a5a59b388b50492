package statuspage

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log/slog"
	"math"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/mpm/prefork"
)

var update = flag.Bool("update", false, "write the golden files")

// sample is a report with one of everything.
func sample() *Report {
	r := &Report{Version: "0.1.0-dev", Config: "/srv/config.toml"}
	r.PID, r.State, r.Model = 100, "serving", "prefork"
	r.Started, r.UptimeSeconds = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC), 93784.5
	r.Generations = []prefork.GenerationStatus{{Number: 6, State: "retired", Children: 1}, {Number: 7, State: "serving", Children: 2}}
	r.Listeners = []prefork.ListenerStatus{{Name: "web", Address: "127.0.0.1:8080"}}
	r.Idle, r.Busy, r.Graceful = 1, 1, 1
	r.Scoreboard = "_WG" + strings.Repeat(".", 70)
	r.LastReload = &prefork.ReloadStatus{Time: r.Started, Generation: 7, Errors: []string{"config.toml:1: nonsense"}}
	r.Codes = []prefork.CodeStatus{{Name: "good"}, {Name: "bad", Failures: 5, Quarantined: &r.Started}}
	r.Totals = prefork.TotalsStatus{Connections: 10, Requests: 30, BytesSent: 123456, DurationSeconds: 1.5}
	r.CPU = prefork.CPUStatus{UserSeconds: 1.25, SystemSeconds: 0.5, EndedUserSeconds: 0.25}
	r.Load = [3]float64{0.5, 0.25, 1}
	r.Slots = []prefork.SlotStatus{
		{Slot: 0, PID: 101, Generation: 7, State: "ready", Letter: "_"},
		{
			Slot: 1, PID: 102, Generation: 7, State: "writing", Letter: "W", AgeSeconds: 61, ChildStatus: prefork.ChildStatus{
				ChildRequests: 3, SlotRequests: 12, SlotBytesSent: 4096, CPUSeconds: 0.25,
				Workers: []prefork.WorkerStatus{{
					State: "writing", Letter: "W", Requests: 3, SinceSeconds: 2, TookSeconds: 0.125,
					Client: "192.0.2.7:4711", Listener: "web", Request: "GET /hello/", Protocol: "HTTP/1.1",
				}},
			},
		},
		{Slot: 2, PID: 103, Generation: 6, State: "graceful", Letter: "G"},
	}
	return r
}

func encoded(t *testing.T, r *Report) []byte {
	t.Helper()
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func handler(raw []byte, err error) *Handler {
	return New(Settings{
		Source: func(context.Context) ([]byte, error) { return raw, err },
		Allow:  []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.1.0.0/16")}, AllowUnix: true,
		Logger: slog.New(slog.DiscardHandler),
	})
}

// The keys are those that exporters look for. The golden file is what they get.
func TestAutoHasTheClassicKeys(t *testing.T) {
	x := ask(t, handler(encoded(t, sample()), nil), "GET", "/server-status?auto")
	if x.status != 200 || x.header.get("Content-Type") != "text/plain; charset=utf-8" {
		t.Fatalf("status %d, header %v", x.status, x.header)
	}
	var kept []string
	for line := range strings.Lines(x.body.String()) {
		if !strings.HasPrefix(line, "Server Built: ") { // not in every build
			kept = append(kept, line)
		}
	}
	got := strings.Join(kept, "")
	const golden = "testdata/auto.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// An exporter takes all but a few values for numbers, and the version for three
// numbers with dots after the first slash.
func TestAutoCanBeReadAsExportersDo(t *testing.T) {
	for _, r := range []*Report{sample(), {Version: "1.2.3"}} {
		for line := range strings.Lines(string(r.auto())) {
			key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			if !ok {
				t.Errorf("no key and value: %q", line)
			}
			switch key {
			case "ServerVersion":
				number, _, _ := strings.Cut(strings.Split(value, "/")[1], " ")
				parts := strings.Split(number, ".")
				if len(parts) != 3 {
					t.Fatalf("version %q", value)
				}
				for _, p := range parts {
					if _, err := strconv.Atoi(p); err != nil {
						t.Errorf("version %q: %v", value, err)
					}
				}
			case "ServerMPM", "CurrentTime", "RestartTime", "ServerUptime", "Scoreboard", "Server Built":
			default:
				if n, err := strconv.ParseFloat(value, 64); err != nil || math.IsNaN(n) || strings.ContainsAny(value, "eE") {
					t.Errorf("%s is no number: %q", key, value)
				}
			}
		}
	}
}

// What clients send, and what a child that was taken over writes into its slot,
// is text and nothing else.
func TestWhatClientsSendIsEscaped(t *testing.T) {
	const evil = `<script>alert(1)</script>"'&<img src=x onerror=1>` + "\x1b[31m\x00\u202e"
	r := sample()
	thread := &r.Slots[1].Workers[0]
	thread.Client, thread.Listener, thread.Request, thread.Protocol, thread.Letter, thread.State = evil, evil, evil, evil, evil, evil
	r.Slots[1].Workers = append(r.Slots[1].Workers, *thread)
	r.Listeners[0].Name, r.Listeners[0].Address, r.Config, r.State = evil, evil, evil, evil
	r.LastReload.Errors, r.Generations[0].State, r.Model = []string{evil}, evil, evil
	r.Codes[1].Name = evil
	for _, query := range []string{"", "?notable", "?refresh=%22%3E%3Cscript%3E", "?%3Cscript%3E"} {
		x := ask(t, handler(encoded(t, r), nil), "GET", "/s"+query)
		page := x.body.String()
		if strings.Contains(page, "<script") || strings.Contains(page, "<img") {
			t.Errorf("%s: markup gets through:\n%s", query, page)
		}
		if n := strings.Count(page, "&lt;script&gt;alert(1)&lt;/script&gt;"); n < 7 {
			t.Errorf("%s: the text is there %d times", query, n)
		}
		if csp := x.header.get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "script") {
			t.Errorf("policy %q", csp)
		}
	}
	x := ask(t, handler(encoded(t, r), nil), "GET", "/s?json")
	if x.header.get("Content-Type") != "application/json" || x.header.get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("header %v", x.header)
	}
}

func TestThePageShowsEverything(t *testing.T) {
	x := ask(t, handler(encoded(t, sample()), nil), "GET", "/s?refresh=0")
	page := x.body.String()
	for _, want := range []string{
		"apphost/0.1.0 (dev)", "1 day 2 hours 3 minutes 4 seconds", "accesses: 30, connections: 10, traffic: 120.6 kB", "Keep-alive",
		"7, serving, children: 2", "6, retired, children: 1", "127.0.0.1:8080 (web)", "failed, generation 7 served on", "nonsense",
		"_WG" + strings.Repeat(".", 61) + "\n" + strings.Repeat(".", 9) + "\n", "GET /hello/", "192.0.2.7:4711", "3/3/12", "1m1s", "125",
		"plugin bad since 2026-11-21 10:00:00 UTC", "bad: 5",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if got := x.header.get("Refresh"); got != "10" {
		t.Errorf("refresh=0: %q, want 10", got)
	}
	if strings.Count(page, "<table>") != 1 {
		t.Error("there is no table")
	}
	if t.Failed() {
		t.Log(page)
	}
	page = ask(t, handler(encoded(t, sample()), nil), "GET", "/s?notable").body.String()
	if strings.Contains(page, "<table>") || !strings.Contains(page, "GET /hello/") {
		t.Errorf("without tables:\n%s", page)
	}
	var back Report
	if err := json.Unmarshal(ask(t, handler(encoded(t, sample()), nil), "GET", "/s?json").body.Bytes(), &back); err != nil || back.Totals != sample().Totals {
		t.Errorf("json: %+v, %v", back, err)
	}
}

func TestWhoMaySeeThePage(t *testing.T) {
	for _, tc := range []struct {
		remote, header string
		want           int
	}{
		{"127.0.0.1:80", "", 200},
		{"127.9.9.9:80", "User-Agent", 200},
		{"10.1.2.3:80", "", 200},
		{"10.2.2.3:80", "", 403},
		{"[::ffff:10.1.2.3]:80", "", 200},
		{"[::1]:80", "", 403},
		{"[fe80::1%eth0]:80", "", 403},
		{"@", "", 200},
		{"/run/client", "", 200},
		{"", "", 403},
		{":0", "", 403},
		{"127.0.0.1:80", "Forwarded", 403},
		{"127.0.0.1:80", "x-forwarded-for", 403},
		{"@", "Via", 403},
	} {
		x := newExchange("GET", "/s")
		x.remote = tc.remote
		if tc.header != "" {
			x.request = header{{tc.header, ""}}
		}
		x.serve(t, handler(encoded(t, sample()), nil))
		if x.status != tc.want {
			t.Errorf("%q with %q: status %d, want %d", tc.remote, tc.header, x.status, tc.want)
		}
		if x.status == 403 && strings.Contains(x.body.String(), "serving") {
			t.Errorf("refused, and told all the same: %s", x.body.String())
		}
	}
	h := handler(nil, nil)
	h.settings.AllowUnix = false
	x := newExchange("GET", "/s")
	x.remote = "@"
	if x.serve(t, h); x.status != 403 {
		t.Errorf("a client of a Unix socket without leave: status %d", x.status)
	}
}

func TestOnlyReadingIsAnswered(t *testing.T) {
	h := handler(encoded(t, sample()), nil)
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405, "PUT": 405, "DELETE": 405, "OPTIONS": 405} {
		x := ask(t, h, method, "/s")
		if x.status != want || (want == 405) != (x.header.get("Allow") == "GET, HEAD") {
			t.Errorf("%s: status %d, Allow %q", method, x.status, x.header.get("Allow"))
		}
	}
	if x := ask(t, handler(nil, errors.New("no answer")), "GET", "/s"); x.status != 503 || strings.Contains(x.body.String(), "no answer") {
		t.Errorf("without a report: %d %s", x.status, x.body.String())
	}
	if err := handler([]byte("rubbish"), nil).Serve(t.Context(), newExchange("GET", "/s")); err == nil {
		t.Error("rubbish is shown as a report")
	}
}

var _ exchange.Exchange = (*fakeExchange)(nil)
