package host_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/host/internal/hosttest"
	"github.com/apphost/apphost/mpm"
)

// A guest reserves the address range of its largest memory, so that the size of
// the process tells how many there are.
func guests(t *testing.T, limit uint64) float64 {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("there is no /proc here")
	}
	var pages float64
	if _, err := fmt.Sscan(string(raw), &pages); err != nil {
		t.Fatal(err)
	}
	return pages * float64(os.Getpagesize()) / float64(limit)
}

// Connections that wait for their next request hold no guest, while those of a
// guest that speaks to its peer hold one each.
func TestAParkedConnectionHoldsNoGuest(t *testing.T) {
	const conns, limit = 8, 1 << 30
	logger, _ := hosttest.Logger()
	probe, hello := plugin(t, "probe", probeFile), plugin(t, "hello", helloFile)
	probe.MemoryLimitBytes, hello.MemoryLimitBytes = limit, limit
	h, err := host.New(t.Context(), host.Config{
		Plugins: []host.Plugin{probe, hello},
		Listeners: []host.Listener{
			{Name: "raw", Protocol: host.TCP, Plugin: "probe"}, {Name: "web", Protocol: host.HTTP},
		},
		Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	before := guests(t, limit)
	var serving sync.WaitGroup
	serve := func(listener string) (*hosttest.Conn, *net.TCPConn) {
		c, client := hosttest.Pair(t, listener)
		serving.Go(func() {
			h.ServeConn(t.Context(), c)
			_ = c.Close()
		})
		return c, client
	}
	var parked []*hosttest.Conn
	var clients []*net.TCPConn
	for range conns {
		c, client := serve("web")
		parked, clients = append(parked, c), append(clients, client)
		if _, err := io.WriteString(client, "GET /hello/ HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || !strings.HasPrefix(string(body), "hello") {
			t.Fatalf("%q, %v", body, err)
		}
	}
	eventually(t, "all connections wait for a request", func() bool {
		for _, c := range parked {
			if c.State() != mpm.StateKeepalive {
				return false
			}
		}
		return true
	})
	if held := guests(t, limit) - before; held > 0.5 {
		t.Errorf("%d parked connections hold %.1f guests", conns, held)
	}
	for range conns {
		_, client := serve("raw")
		clients = append(clients, client)
	}
	// The first one has the guest that the plugin was tried out with.
	eventually(t, "each TCP connection has its guest", func() bool { return guests(t, limit)-before > conns-1.5 })
	for _, client := range clients {
		_ = client.Close()
	}
	serving.Wait()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("20 s and not yet: %s", what)
		case <-tick.C:
		}
	}
}
