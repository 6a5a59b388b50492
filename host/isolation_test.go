package host_test

import (
	"strings"
	"testing"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/host/internal/hosttest"
)

func isolated(t *testing.T, file string, isolation host.Isolation) (*host.Host, error) {
	t.Helper()
	logger, _ := hosttest.Logger()
	p := plugin(t, "p", file)
	p.Isolation = isolation
	return host.New(t.Context(), host.Config{
		Plugins: []host.Plugin{p}, Listeners: []host.Listener{{Name: "web", Protocol: host.HTTP}},
		CacheDir: t.TempDir(), Logger: logger,
	})
}

func TestOnlyAnIsolatedChildKeepsSomething(t *testing.T) {
	for isolation, want := range map[host.Isolation]string{
		"": "hello 1\n", host.IsolateRequests: "hello 1\n", host.IsolateChildren: "hello 2\n",
	} {
		h, err := isolated(t, helloFile, isolation)
		if err != nil {
			t.Fatal(err)
		}
		request(t, h, "/p/")
		if _, got := request(t, h, "/p/"); got != want {
			t.Errorf("isolation %q: the second answer is %q, want %q", isolation, got, want)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAnIsolationThatTheABIDoesNotHaveIsRefused(t *testing.T) {
	for file, isolation := range map[string]host.Isolation{helloFile: host.IsolateConnections, probeFile: host.IsolateRequests} {
		_, err := isolated(t, file, isolation)
		if err == nil || !strings.Contains(err.Error(), "plugin.p.isolation: must be ") {
			t.Errorf("%s: %v", isolation, err)
		}
	}
}
