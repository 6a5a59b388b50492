package host_test

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/host/internal/hosttest"
)

func plugin(t testing.TB, name, file string) host.Plugin {
	t.Helper()
	wasm, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		t.Fatal(err)
	}
	return host.Plugin{Name: name, Wasm: wasm, MemoryLimitBytes: 1 << 20}
}

// mounted is p with its own path, whatever routes there are.
func mounted(p host.Plugin) host.Plugin {
	yes := true
	p.Mount = &yes
	return p
}

const (
	probeFile  = "abi/conn/testdata/probe.wasm"
	serverFile = "abi/conn/testdata/server.wasm"
	helloFile  = "abi/httpwasm/testdata/hello.wasm"
	passFile   = "abi/httpwasm/testdata/pass.wasm"
)

var requestFailed = regexp.MustCompile(`msg="guest failed" generation=7 slot=3 plugin=hello connection=g7-s3-42 request=[0-9a-f]{12}-42-1 error=`)

func TestNewServesEachListenerWithItsPlugin(t *testing.T) {
	logger, log := hosttest.Logger()
	var steps []string
	h, err := host.New(t.Context(), host.Config{
		Plugins: []host.Plugin{plugin(t, "probe", probeFile), plugin(t, "hello", helloFile)},
		Listeners: []host.Listener{
			{Name: "raw", Protocol: host.TCP, Plugin: "probe"},
			{Name: "web", Protocol: host.HTTP},
		},
		Routes:     []host.Route{{Path: "/shop/", Chain: []string{"hello"}}},
		CacheDir:   t.TempDir(),
		Slot:       3,
		Generation: 7,
		Logger:     logger,
		Progress:   func(step string) { steps = append(steps, step) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for range 2 {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}
	}()
	wantSteps := []string{
		`plugin "probe": compile`, `plugin "probe": instantiate`, `plugin "probe": _initialize`, `plugin "probe": child_init`,
		`plugin "hello": compile`, `plugin "hello": instantiate`,
	}
	if !slices.Equal(steps, wantSteps) {
		t.Errorf("steps %q", steps)
	}
	got := h.Plugins()
	if len(got) != 2 || got[0].Name != "probe" || got[0].ABI != "conn" || got[1].ABI != "http-wasm" || got[1].Bytes == 0 {
		t.Errorf("plugins %+v", got)
	}

	if got := exchange(t, h, "raw", "ehello"); got != "hello" {
		t.Errorf("echo says %q", got)
	}
	exchange(t, h, "raw", "t")
	want := `msg="guest failed" generation=7 slot=3 plugin=probe connection=g7-s3-42 error=`
	if got := log.Take(); !strings.Contains(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
	for _, path := range []string{"/hello/", "/shop/cart"} {
		status, body := request(t, h, path)
		if status != 200 || body != "hello 1\n" {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
	if status, body := request(t, h, "/hello/trap!"); status != 500 || strings.Contains(body, "unreachable") {
		t.Errorf("a trap gives %d %q", status, body)
	}
	if got := log.Take(); !requestFailed.MatchString(got) {
		t.Errorf("logged %q", got)
	}
	if status, _ := request(t, h, "/probe/"); status != 404 {
		t.Errorf("a conn plugin is mounted: %d", status)
	}
}

func TestChains(t *testing.T) {
	logger, _ := hosttest.Logger()
	h, err := host.New(t.Context(), host.Config{
		Plugins:   []host.Plugin{plugin(t, "pass", passFile), plugin(t, "hello", helloFile)},
		Listeners: []host.Listener{{Name: "web", Protocol: host.HTTP}},
		// A digit says what pass enables: 2 is buffer_response, and then it
		// answers with a bar.
		Routes: []host.Route{
			{Path: "/0/", Chain: []string{"pass", "pass", "hello"}},
			{Path: "/2/", Chain: []string{"pass", "hello"}},
			{Path: "/0/text", Chain: []string{"pass"}, Respond: &host.Respond{Status: 203, ContentType: "text/x", Body: "text"}},
			{Path: "/0/gone", Chain: []string{"pass"}, Redirect: &host.Redirect{Status: 302, Location: "/new"}},
			{Path: "/0/none", Chain: []string{"pass"}},
			{Path: "/0/files/", Chain: []string{"pass"}, Root: "testdata/public"},
			{Path: "/0/a.txt", Root: "testdata/public"},
		},
		CacheDir: t.TempDir(), Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	for _, test := range []struct {
		path, body string
		status     int
	}{
		{"/0/", "hello 1\n", 200},
		{"/2/", "|", 200},
		{"/0/text", "text", 203},
		{"/0/gone", "", 302},
		{"/0/none", "404 Not Found\n", 404},
		{"/0/files/a.txt", "a file\n", 200},
		{"/0/a.txt", "a file\n", 200},
	} {
		if status, body := request(t, h, test.path); status != test.status || body != test.body {
			t.Errorf("%s: %d %q, want %d %q", test.path, status, body, test.status, test.body)
		}
	}
}

// exchange sends text on a connection of the listener and returns the answer.
func exchange(t *testing.T, h *host.Host, listener, text string) string {
	t.Helper()
	c, client := hosttest.Pair(t, listener)
	if _, err := io.WriteString(client, text); err != nil {
		t.Fatal(err)
	}
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	h.ServeConn(t.Context(), c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(client)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func request(t *testing.T, h *host.Host, path string) (int, string) {
	t.Helper()
	answer := exchange(t, h, "web", "GET "+path+" HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
	r, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
	if err != nil {
		t.Fatalf("%v in %q", err, answer)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func TestNewReportsAllFaultsAtOnce(t *testing.T) {
	logger, _ := hosttest.Logger()
	tests := []struct {
		config host.Config
		faults []string
	}{
		{
			host.Config{Plugins: []host.Plugin{
				plugin(t, "fails", "abi/conn/testdata/init_fails.wasm"),
				plugin(t, "probe", probeFile),
				plugin(t, "traps", "abi/conn/testdata/init_traps.wasm"),
				{Name: "text", Wasm: []byte("hello")},
				plugin(t, "large", "guest/testdata/large.wasm"),
				{Name: "told", Wasm: []byte("hello"), Digest: []byte("short")},
			}},
			[]string{
				`plugin "fails": child_init returned 3`,
				`plugin "traps": child_init trapped: wasm error: unreachable`,
				`plugin "text" is not a WebAssembly module: it does not start with \0asm`,
				`plugin "large" needs 128 MiB of memory, memory_limit is 1 MiB`,
				`plugin "told": its digest has 5 bytes, a SHA-256 has 32`,
			},
		},
		{
			host.Config{
				Plugins: []host.Plugin{plugin(t, "probe", probeFile), plugin(t, "hello", helloFile), plugin(t, "server", serverFile)},
				Listeners: []host.Listener{
					{Name: "a", Protocol: host.TCP, Plugin: "hello"},
					{Name: "b", Protocol: host.TCP, Plugin: "nobody"},
					{Name: "c", Protocol: "udp"},
				},
				Routes: []host.Route{{Path: "/x/", Chain: []string{"probe"}}, {Path: "/y/", Chain: []string{"server"}}},
			},
			[]string{
				`route[0].plugin: plugin "probe" speaks the conn ABI, a route needs an HTTP plugin or a command; give it a listener with protocol = "tcp"`,
				`route[1].plugin: plugin "server" speaks the server ABI, a route needs an HTTP plugin or a command; give it a listener with protocol = "tcp"`,
				`listen[0].plugin: plugin "hello" speaks the http-wasm ABI, a tcp listener needs one of the conn ABI, a server, or a command`,
				`listen[1].plugin: there is no plugin "nobody"`,
				`listener "c": unknown protocol "udp"`,
			},
		},
	}
	for _, test := range tests {
		test.config.Logger = logger
		_, err := host.New(t.Context(), test.config)
		if err == nil || err.Error() != strings.Join(test.faults, "\n") {
			t.Errorf("faults\n%v\nwant\n%s", err, strings.Join(test.faults, "\n"))
		}
	}
}

func TestInspectNamesTheABI(t *testing.T) {
	for file, want := range map[string]string{probeFile: "conn", serverFile: "server", helloFile: "http-wasm"} {
		in := host.Inspect(t.Context(), "p", plugin(t, "p", file).Wasm)
		if in.ABI != want || len(in.Problems) != 0 {
			t.Errorf("%s: %+v", file, in)
		}
	}
}
