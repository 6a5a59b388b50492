package host_test

import (
	"context"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/host/internal/hosttest"
)

const helloRequest = "GET /hello/ HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n"

// steady is what a host serves again and again: requests of one connection, or
// connections.
var steady = []struct {
	name      string
	isolation host.Isolation
	serve     func(ctx context.Context, h *host.Host, n int)
	allocs    float64 // the most for each of them
}{
	{"request, kept instance", host.IsolateChildren, serveRequests, 0},
	{"request, fresh instance", "", serveRequests, 0},
	{"connection, kept instance", host.IsolateChildren, serveConnections, 0},
	{"connection, fresh instance", "", serveConnections, 0},
}

func serveRequests(ctx context.Context, h *host.Host, n int) {
	h.ServeConn(ctx, &hosttest.Scripted{Piece: helloRequest, N: n, Name: "web"})
}

func serveConnections(ctx context.Context, h *host.Host, n int) {
	c := &hosttest.Scripted{Piece: "hello", Name: "echo"}
	for range n {
		c.N = 1
		h.ServeConn(ctx, c)
	}
}

func steadyHost(t testing.TB, isolation host.Isolation) *host.Host {
	logger, _ := hosttest.Logger()
	hello, echo := plugin(t, "hello", "../plugins/hello.wasm"), plugin(t, "echo", "../plugins/echo.wasm")
	if isolation == host.IsolateChildren {
		hello.Isolation, echo.Isolation = isolation, isolation
	}
	h, err := host.New(t.Context(), host.Config{
		Plugins:   []host.Plugin{hello, echo},
		Listeners: []host.Listener{{Name: "web", Protocol: host.HTTP}, {Name: "echo", Protocol: host.TCP, Plugin: "echo"}},
		CacheDir:  t.TempDir(), Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// What is served for the thousandth time needs no memory but what is there.
func TestServingAllocatesNothing(t *testing.T) {
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector makes sync.Pool forget")
	}
	for _, s := range steady {
		t.Run(s.name, func(t *testing.T) {
			h := steadyHost(t, s.isolation)
			mallocs := func(n int) uint64 {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				s.serve(t.Context(), h, n)
				runtime.ReadMemStats(&after)
				return after.Mallocs - before.Mallocs
			}
			mallocs(1000)
			few, many := mallocs(1000), mallocs(3000)
			// A garbage collection empties pools now and then.
			if each := float64(int64(many)-int64(few)) / 2000; each > s.allocs+0.05 {
				t.Errorf("%.2f allocations each, want %g", each, s.allocs)
			}
		})
	}
}

func BenchmarkSteady(b *testing.B) {
	for _, s := range steady {
		b.Run(s.name, func(b *testing.B) {
			h := steadyHost(b, s.isolation)
			b.ReportAllocs()
			b.ResetTimer()
			s.serve(b.Context(), h, b.N)
		})
	}
}
