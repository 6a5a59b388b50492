package main

import (
	"flag"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// soak makes the trials run at full size: `just soak`.
var soak = flag.Bool("soak", false, "run the trials at full size")

// sized is how much of something a trial takes: a little, or in a soak all.
func sized[T any](little, all T) T {
	if *soak {
		return all
	}
	return little
}

// Five spare children, and many more connections at once, none of which ends.
func TestE2EABurstIsServedInTime(t *testing.T) {
	clients, within := sized(30, 100), sized(apphosttest.Patience, 2*time.Second)
	s := startPlain(t)
	addr := s.Addr("echo")
	var group sync.WaitGroup
	waits := make([]time.Duration, clients)
	begun := time.Now()
	for i := range clients {
		group.Go(func() {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Errorf("client %d: %v", i, err)
				return
			}
			t.Cleanup(func() { conn.Close() })
			_ = conn.SetDeadline(begun.Add(apphosttest.Patience))
			_, _ = conn.Write([]byte("x"))
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
			waits[i] = time.Since(begun)
		})
	}
	group.Wait()
	last := slices.Max(waits)
	t.Logf("%d connections held at once: the last was served after %s", clients, last)
	if last > within {
		t.Errorf("a client waited for %s, want %s at most", last, within)
	}
}
