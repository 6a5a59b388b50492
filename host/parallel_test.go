package host_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/host/internal/hosttest"
)

// The worker model serves many connections of a process at once. None may see
// another's guest, also while some guests trap.
func TestConnectionsAtOnceDoNotSeeEachOther(t *testing.T) {
	logger, _ := hosttest.Logger()
	h, err := host.New(t.Context(), host.Config{
		Plugins:   []host.Plugin{plugin(t, "probe", probeFile)},
		Listeners: []host.Listener{{Name: "raw", Protocol: host.TCP, Plugin: "probe"}},
		Logger:    logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for n := range 8 {
		type pair struct {
			host   *hosttest.Conn
			client *net.TCPConn
		}
		var pairs []pair
		for range 20 {
			c, client := hosttest.Pair(t, "raw")
			pairs = append(pairs, pair{c, client})
		}
		op, want := "c", "A11"
		if n%4 == 0 {
			op, want = "t", ""
		}
		all.Go(func() {
			for _, p := range pairs {
				c, client := p.host, p.client
				if _, err := io.WriteString(client, op); err != nil {
					t.Error(err)
				}
				h.ServeConn(t.Context(), c)
				_ = c.Close()
				if got, err := io.ReadAll(client); err != nil || string(got) != want {
					t.Errorf("%s: %q, %v", op, got, err)
				}
			}
		})
	}
	all.Wait()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
