package prefork

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Clients wait in each bucket, also in one that a reload has just done away
// with, and no child is free: a graceful stop serves every one of them.
func TestAGracefulStopEmptiesEveryBucket(t *testing.T) {
	const waiting = 60
	s := startServer(t, func(c *testConfig) {
		o := &c.Options
		o.Buckets, o.StartServers, o.MinSpareServers, o.MaxSpareServers, o.MaxRequestWorkers = 3, 3, 1, 2, 3
	})
	var clients sync.WaitGroup
	for range waiting {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		clients.Go(func() { // and none hangs up: each has its child until the child is told to hurry
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			if got, err := io.ReadAll(conn); err != nil || len(got) < len("one 1\n") {
				t.Errorf("a client that waited reads %q, %v", got, err)
			}
		})
	}
	s.divide(2)
	s.askLater(GracefulStop)
	clients.Wait()
	s.gone()
}
