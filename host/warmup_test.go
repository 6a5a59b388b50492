package host_test

import (
	"strings"
	"testing"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/host/internal/hosttest"
)

func TestAWarmUpIsOfTheKindOfThePlugin(t *testing.T) {
	const program, tables = "testdata/program.wasm", "guest/testdata/table.wasm"
	dirs := func(p *host.Plugin) { p.Dirs = []host.Dir{{Host: t.TempDir(), Guest: "/data"}} }
	for _, test := range []struct {
		file   string
		warmUp host.WarmUp
		change func(*host.Plugin)
		want   string
	}{
		{probeFile, host.WarmUp{Calls: 2}, nil, ""},
		{helloFile, host.WarmUp{Path: "/"}, nil, ""},
		{probeFile, host.WarmUp{Path: "/"}, nil, `warm_up is the path "/", but with the conn ABI it is a number of connections, such as 1`},
		{helloFile, host.WarmUp{Calls: 2}, nil, `warm_up is 2, but with the http-wasm ABI it is the path of a request, such as "/"`},
		{program, host.WarmUp{Calls: 2}, nil, "with the command ABI each run begins anew"},
		{program, host.WarmUp{Path: "/"}, nil, "with the command ABI each run begins anew"},
		{"abi/conn/testdata/server.wasm", host.WarmUp{Calls: 1}, nil, "does what it wants before its first accept"},
		{tables, host.WarmUp{Calls: 1}, nil, "because its code changes tables"},
		{probeFile, host.WarmUp{Calls: 1}, dirs, "because it has folders"},
		{probeFile, host.WarmUp{Calls: 1}, func(p *host.Plugin) { dirs(p); p.Isolation = host.IsolateChildren }, ""},
		{helloFile, host.WarmUp{Path: "/trap!"}, nil, `plugin "p": warm_up, GET /trap!: handle_request trapped: wasm error: unreachable`},
	} {
		logger, _ := hosttest.Logger()
		p := plugin(t, "p", test.file)
		p.WarmUp = test.warmUp
		if test.change != nil {
			test.change(&p)
		}
		h, err := host.New(t.Context(), host.Config{Plugins: []host.Plugin{p}, Logger: logger, Slot: -1, CacheDir: t.TempDir()})
		switch {
		case err == nil && test.want != "", err != nil && (test.want == "" || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s, %+v: %v, want %q", test.file, test.warmUp, err, test.want)
		case err == nil:
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// As many instances are made ahead as connections can be served at a time, up to a
// bound; those are what the first connections have.
func TestInstancesAreMadeAheadForEachThread(t *testing.T) {
	const limit = 1 << 30
	for threads, want := range map[int]float64{0: 1, 1: 1, 5: 5, 100: 8} {
		logger, _ := hosttest.Logger()
		p := plugin(t, "p", helloFile)
		p.MemoryLimitBytes = limit
		before := guests(t, limit)
		h, err := host.New(t.Context(), host.Config{Plugins: []host.Plugin{p}, Logger: logger, Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		if got := guests(t, limit) - before; got < want-0.5 || got > want+0.5 {
			t.Errorf("with %d threads there are %.1f instances, want %.0f", threads, got, want)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestItIsSaidHowInstancesAreReused(t *testing.T) {
	for file, want := range map[string]string{
		helloFile: "reset: ", "guest/testdata/table.wasm": "made anew, its code changes tables", "testdata/program.wasm": "reset: ",
	} {
		logger, _ := hosttest.Logger()
		h, err := host.New(t.Context(), host.Config{Plugins: []host.Plugin{plugin(t, "p", file)}, Logger: logger})
		if err != nil {
			t.Fatal(err)
		}
		if got := h.Plugins()[0].Instances; !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}
