package host_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/host/internal/hosttest"
)

// A handler written with the SDK passes requests on to the next one.
func TestAGoPluginPassesRequestsOn(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a guest in Go")
	}
	file := filepath.Join(t.TempDir(), "login.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-o", file, "./testdata/login")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	login := plugin(t, "login", file)
	login.MemoryLimitBytes = 64 << 20
	logger, _ := hosttest.Logger()
	h, err := host.New(t.Context(), host.Config{
		Plugins:   []host.Plugin{login, plugin(t, "hello", helloFile)},
		Listeners: []host.Listener{{Name: "web", Protocol: host.HTTP}},
		Routes:    []host.Route{{Path: "/in/", Chain: []string{"login", "hello"}}},
		CacheDir:  t.TempDir(), Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	for range 2 {
		if status, body := request(t, h, "/in/"); status != 401 || body != "who are you?\n" {
			t.Errorf("without a name: %d %q", status, body)
		}
		if status, body := request(t, h, "/in/?user=Ada"); status != 200 || body != "hello 1\n" {
			t.Errorf("with a name: %d %q", status, body)
		}
	}
}
