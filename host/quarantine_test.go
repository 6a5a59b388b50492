package host_test

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/host/internal/hosttest"
	"github.com/apphost/apphost/mpm"
)

// ward is a model that quarantines what a test says, and counts.
type ward struct {
	out    map[int]bool
	failed map[int]int
}

var _ mpm.Quarantine = (*ward)(nil)

func newWard() *ward { return &ward{out: map[int]bool{}, failed: map[int]int{}} }

func (w *ward) Quarantined(code int) bool { return w.out[code] }
func (w *ward) Failed(code int)           { w.failed[code]++ }

// The places of the plugins.
const (
	probeCode = iota
	passCode
	helloCode
	insistsCode
	exitsCode
	curtCode
)

func warded(t *testing.T) (*host.Host, *ward, *hosttest.Log) {
	t.Helper()
	logger, log := hosttest.Logger()
	w := newWard()
	h, err := host.New(t.Context(), host.Config{
		Plugins: []host.Plugin{
			plugin(t, "probe", probeFile), plugin(t, "pass", passFile), mounted(plugin(t, "hello", helloFile)),
			plugin(t, "insists", "abi/conn/testdata/insists.wasm"),
			plugin(t, "exits", "testdata/exits.wasm"), plugin(t, "curt", "testdata/curt.wasm"),
		},
		Listeners: []host.Listener{
			{Name: "raw", Protocol: host.TCP, Plugin: "probe"},
			{Name: "other", Protocol: host.TCP, Plugin: "insists", ReadTimeout: time.Millisecond},
			{Name: "curt", Protocol: host.TCP, Plugin: "curt", ReadTimeout: time.Millisecond},
			{Name: "web", Protocol: host.HTTP},
		},
		Routes: []host.Route{
			{Path: "/0/", Chain: []string{"pass", "hello"}},
			{Path: "/0/text", Chain: []string{"pass"}, Respond: &host.Respond{Status: 200, Body: "text"}},
			{Path: "/curt", Chain: []string{"curt"}},
			{Path: "/text", Respond: &host.Respond{Status: 200, Body: "text"}},
		},
		CacheDir: t.TempDir(), Logger: logger, Quarantine: w,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h, w, log
}

func TestAQuarantinedPluginMakesItsRoutesUnavailable(t *testing.T) {
	h, w, _ := warded(t)
	for _, test := range []struct {
		code int
		out  []string
	}{
		{-1, nil},
		{helloCode, []string{"/hello/", "/0/"}},
		// A plugin that others are behind is not passed over.
		{passCode, []string{"/pass/", "/0/", "/0/text"}},
		{probeCode, nil},
	} {
		w.out = map[int]bool{test.code: true}
		for _, path := range []string{"/hello/", "/pass/", "/0/", "/0/text", "/text"} {
			want := 200
			switch {
			case slices.Contains(test.out, path):
				want = 503
			case path == "/pass/":
				want = 404 // it passes on, and nothing is behind it
			}
			if got, body := request(t, h, path); got != want || want == 503 && !strings.Contains(body, "out of service") {
				t.Errorf("without plugin %d, %s: %d %q, want %d", test.code, path, got, body, want)
			}
		}
	}
	w.out = map[int]bool{helloCode: true}
	answer := exchange(t, h, "web", "GET /hello/ HTTP/1.1\r\nHost: test\r\n\r\nGET /text HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
	r := bufio.NewReader(strings.NewReader(answer))
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	if res.Header.Get("Retry-After") != "60" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("its header: %v", res.Header)
	}
	if res, err = http.ReadResponse(r, nil); err != nil || res.StatusCode != 200 {
		t.Errorf("the next request of the connection: %v, %v", res, err)
	}
}

func TestAQuarantinedPluginsConnectionsAreClosedAtOnce(t *testing.T) {
	h, w, log := warded(t)
	w.out[probeCode] = true
	if got := exchange(t, h, "raw", ""); got != "" {
		t.Errorf("it says %q", got)
	}
	if got := log.Take(); !strings.Contains(got, `msg="connection refused: its plugin is quarantined"`) || !strings.Contains(got, "plugin=probe") {
		t.Errorf("logged %q", got)
	}
	w.out[probeCode] = false
	if got := exchange(t, h, "raw", "ehello"); got != "hello" {
		t.Errorf("afterwards it says %q", got)
	}
}

func TestWhatCountsAsAFailure(t *testing.T) {
	const post = "POST /curt HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
	h, w, _ := warded(t)
	for _, test := range []struct {
		what string
		do   func()
		want map[int]int
	}{
		{"a trap with a connection", func() { exchange(t, h, "raw", "t") }, map[int]int{probeCode: 1}},
		{"a trap with a request", func() { request(t, h, "/hello/trap!") }, map[int]int{helloCode: 1}},
		{"a trap behind another plugin", func() { request(t, h, "/0/trap!") }, map[int]int{helloCode: 1}},
		{"an exit that is no answer", func() { request(t, h, "/exits/3") }, map[int]int{exitsCode: 1}},
		{"an exit that is one", func() { request(t, h, "/exits/0") }, nil},
		{"a trap of a program", func() { exchange(t, h, "curt", "t") }, map[int]int{curtCode: 1}},
		{"a program that ends", func() { exchange(t, h, "curt", "x") }, nil},
		{"a trap of a script", func() { exchange(t, h, "web", post+"Content-Length: 1\r\n\r\nt") }, map[int]int{curtCode: 1}},
		{"a script without an answer", func() { exchange(t, h, "web", post+"Content-Length: 1\r\n\r\nx") }, nil},
		{"a trap of a script whose client has gone", func() { exchange(t, h, "web", post+"Content-Length: 2\r\n\r\n") }, nil},
		{"a trap of a program that was kept waiting", func() {
			c, _ := hosttest.Pair(t, "curt")
			h.ServeConn(t.Context(), c)
		}, nil},
		{"an error returned", func() { exchange(t, h, "raw", "n") }, nil},
		{"an exit", func() { exchange(t, h, "raw", "x") }, nil},
		{"an answer", func() { request(t, h, "/hello/") }, nil},
		{"a trap after the client has kept it waiting", func() {
			c, _ := hosttest.Pair(t, "other")
			h.ServeConn(t.Context(), c)
		}, nil},
	} {
		w.failed = map[int]int{}
		test.do()
		for code := range curtCode + 1 {
			if w.failed[code] != test.want[code] {
				t.Errorf("%s: plugin %d has failed %d times, want %d", test.what, code, w.failed[code], test.want[code])
			}
		}
	}
}

// A client that goes away can bring a guest to trap, if that does not expect it.
func TestAGuestThatTrapsBecauseOfItsClientIsLoggedAllTheSame(t *testing.T) {
	h, _, log := warded(t)
	c, _ := hosttest.Pair(t, "other")
	h.ServeConn(t.Context(), c)
	if got := log.Take(); !strings.Contains(got, `msg="guest failed"`) || !strings.Contains(got, "plugin=insists") {
		t.Errorf("logged %q", got)
	}
}
