package host_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/host/internal/hosttest"
)

func TestRoutesAreInTheOrderOfTheirMatch(t *testing.T) {
	got := host.Routes(t.Context(), &host.Config{
		Plugins: []host.Plugin{plugin(t, "probe", probeFile), plugin(t, "hello", helloFile), plugin(t, "taken", helloFile)},
		Routes: []host.Route{
			{Path: "/", Chain: []string{"hello"}},
			{Path: "/hello/x", Chain: []string{"a", "b"}, Respond: &host.Respond{Status: 201}},
			{Path: "/hello/x", Methods: []string{"PUT"}, Redirect: &host.Redirect{Status: 308, Location: "/y"}},
			{Host: "*.b", Path: "/", Chain: []string{"hello"}},
			{Host: "*.a.b", Path: "/", Chain: []string{"hello"}},
			{Host: "c", Path: "/", Chain: []string{"hello"}},
			{Path: "/taken/", Chain: []string{"hello"}},
		},
		Mounts: []host.Mount{{Path: "/status", Name: "status page"}},
	})
	var lines []string
	for _, r := range got {
		lines = append(lines, fmt.Sprintf("%s%s%v: %s", r.Host, r.Path, r.Methods, r.Handler))
	}
	want := []string{
		"c/[]: hello",
		"*.a.b/[]: hello",
		"*.b/[]: hello",
		"/hello/x[PUT]: redirect 308 to /y",
		"/hello/x[]: a → b → respond 201",
		"/status[]: status page",
		"/hello/[]: hello",
		"/taken/[]: hello",
		"/[]: hello",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got %q", lines)
	}
}

// What stands behind another plugin has no path of its own, as that one may be
// there to keep clients from it.
func TestAPluginBehindAnotherIsNotMounted(t *testing.T) {
	yes, no := true, false
	for _, test := range []struct {
		name   string
		mount  *bool
		routes []host.Route
		want   bool
	}{
		{"without a route", nil, nil, true},
		{"not wanted", &no, nil, false},
		{"with a route", nil, []host.Route{{Path: "/x/", Chain: []string{"hello"}}}, true},
		{"first of a chain", nil, []host.Route{{Path: "/x/", Chain: []string{"hello", "guard"}}}, true},
		{"behind another", nil, []host.Route{{Path: "/x/", Chain: []string{"guard", "hello"}}}, false},
		{"behind another, and wanted", &yes, []host.Route{{Path: "/x/", Chain: []string{"guard", "hello"}}}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			hello, guard := plugin(t, "hello", helloFile), plugin(t, "guard", "abi/httpwasm/testdata/pass.wasm")
			hello.Mount = test.mount
			logger, _ := hosttest.Logger()
			config := host.Config{
				Plugins: []host.Plugin{hello, guard}, Routes: test.routes, CacheDir: t.TempDir(), Logger: logger,
				Listeners: []host.Listener{{Name: "web", Protocol: host.HTTP}},
			}
			listed := slices.ContainsFunc(host.Routes(t.Context(), &config), func(r host.RouteInfo) bool { return r.Path == "/hello/" })
			h, err := host.New(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = h.Close() }()
			status, _ := request(t, h, "/hello/")
			if served := status == 200; served != test.want || listed != test.want {
				t.Errorf("status %d, listed %v", status, listed)
			}
		})
	}
	probe := plugin(t, "probe", probeFile)
	probe.Mount = &yes
	logger, _ := hosttest.Logger()
	if _, err := host.New(t.Context(), host.Config{Plugins: []host.Plugin{probe}, CacheDir: t.TempDir(), Logger: logger}); err == nil || !strings.Contains(err.Error(), "plugin.probe.mount: ") {
		t.Errorf("a plugin for tcp: %v", err)
	}
}

// Whoever adds a plugin for connections and forgets the listener hears of it once.
func TestAPluginWithoutAListenerIsWarnedOf(t *testing.T) {
	for _, test := range []struct {
		listener host.Listener
		slot     int
		want     bool
	}{
		{host.Listener{Name: "web", Protocol: host.HTTP}, -1, true},
		{host.Listener{Name: "web", Protocol: host.HTTP}, 0, false},
		{host.Listener{Name: "raw", Protocol: host.TCP, Plugin: "echo"}, -1, false},
	} {
		logger, log := hosttest.Logger()
		h, err := host.New(t.Context(), host.Config{
			Plugins: []host.Plugin{plugin(t, "echo", "../plugins/echo.wasm")}, Slot: test.slot, CacheDir: t.TempDir(), Logger: logger,
			Listeners: []host.Listener{test.listener},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.Take(), "has no listener"); got != test.want {
			t.Errorf("with %s in slot %d: %v", test.listener.Name, test.slot, got)
		}
		must(t, h.Close())
	}
}

// A path without a slash at its end is that of one file. Children do not repeat it,
// and a file that goes does not keep them from serving.
func TestAFolderAtThePathOfAFileIsWarnedOf(t *testing.T) {
	root := t.TempDir()
	must(t, os.WriteFile(filepath.Join(root, "favicon.ico"), nil, 0o600))
	for _, test := range []struct {
		path string
		slot int
		want bool
	}{
		{"/files", -1, true}, {"/files", 0, false}, {"/files/", -1, false}, {"/favicon.ico", -1, false},
	} {
		logger, log := hosttest.Logger()
		h, err := host.New(t.Context(), host.Config{
			Routes: []host.Route{{Path: test.path, Root: root}}, Slot: test.slot, CacheDir: t.TempDir(), Logger: logger,
			Listeners: []host.Listener{{Name: "web", Protocol: host.HTTP}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.Take(), "has no \\\"/\\\" at its end"); got != test.want {
			t.Errorf("%s in slot %d: %v", test.path, test.slot, got)
		}
		must(t, h.Close())
	}
}
