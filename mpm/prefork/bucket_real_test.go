package prefork

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// inspect is a look at the running master.
func (s *server) inspect() Snapshot {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	snapshot, err := s.master.Inspect(ctx)
	if err != nil {
		s.Fatal(err)
	}
	return snapshot
}

// divide reloads to so many buckets, and looks whether each has children.
func (s *server) divide(buckets int) {
	s.Helper()
	s.cfg.Options.Buckets = buckets
	s.cfg.Greeting = fmt.Sprintf("%d-buckets", buckets)
	s.write()
	if r := s.ask(Reload); len(r.Errors) > 0 {
		s.Fatalf("reload to %d buckets: %+v", buckets, r)
	}
	snapshot, children := s.inspect(), make([]int, buckets)
	for _, c := range snapshot.Slots {
		if c.Generation == snapshot.Generations[len(snapshot.Generations)-1].Number {
			children[c.Bucket]++
		}
	}
	for b, n := range children {
		if n == 0 {
			s.Errorf("bucket %d of %d has no children: %v", b, buckets, children)
		}
	}
	if snapshot.Buckets != buckets {
		s.Errorf("the status says %d buckets, want %d", snapshot.Buckets, buckets)
	}
}

// The claim holds where closing a socket of several costs clients, which is the
// default.
func logMigration(t *testing.T) {
	t.Helper()
	on, err := os.ReadFile("/proc/sys/net/ipv4/tcp_migrate_req")
	t.Logf("net.ipv4.tcp_migrate_req is %s (%v)", strings.TrimSpace(string(on)), err)
}

// Clients come without pause while the server is reloaded and its buckets
// become more and fewer, from one and to one. Not one may be refused or reset.
func TestBucketsChangeUnderLoadAndLoseNothing(t *testing.T) {
	logMigration(t)
	s := startServer(t, func(c *testConfig) { c.Options.StartServers = 4 })
	stop, clients := s.clients(8, "")
	for _, buckets := range []int{1, 2, 2, 4, 3, 1, 3, 3, 2, 4, 4, 1, 1, 2, 1} {
		s.divide(buckets)
		for range 5 {
			conn, greeting, _, err := s.dial()
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
			if greeting != s.cfg.Greeting {
				t.Errorf("after the reload %q answered, want %q", greeting, s.cfg.Greeting)
			}
		}
	}
	close(stop)
	clients.Wait()
}

// All children serve, and clients wait in the queue of every bucket. A reload
// to any number of buckets serves each of them, in the end by the new children.
func TestWhoWaitsInABucketIsServedAfterAReload(t *testing.T) {
	for _, change := range []struct{ from, to int }{{1, 3}, {3, 1}, {3, 2}, {2, 4}} {
		t.Run(fmt.Sprintf("%d to %d", change.from, change.to), func(t *testing.T) {
			logMigration(t)
			s := startServer(t, func(c *testConfig) {
				o := &c.Options
				o.Buckets = change.from
				o.StartServers, o.MinSpareServers, o.MaxSpareServers, o.MaxRequestWorkers = 4, 1, 2, 4
			})
			var waiting []net.Conn
			for range 60 {
				conn, err := net.Dial("tcp", s.addr)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				waiting = append(waiting, conn)
			}
			s.cfg.Options.MaxRequestWorkers = 40
			s.divide(change.to)
			var clients sync.WaitGroup
			for _, conn := range waiting {
				clients.Go(func() {
					_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
					if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
						t.Errorf("a client that waited reads %q, %v", line, err)
					}
					_ = conn.Close()
				})
			}
			clients.Wait()
		})
	}
}

// A generation with more buckets that never serves leaves the old one as it was.
func TestAFailedReloadToMoreBucketsLosesNothing(t *testing.T) {
	s := startServer(t, func(c *testConfig) { c.Options.StartServers, c.Options.Buckets = 6, 2 })
	stop, clients := s.clients(4, "one")
	s.cfg.Greeting, s.cfg.Options.Buckets = refuseTheFourth+t.TempDir(), 4
	s.write()
	for range 5 {
		if r := s.ask(Reload); len(r.Errors) == 0 || r.Generation != 1 {
			t.Fatalf("reload: %+v", r)
		}
	}
	close(stop)
	clients.Wait()
}

// Each bucket has its own idle children: those of one bucket being busy, its
// clients still find one.
func TestEachBucketHasSpareChildren(t *testing.T) {
	s := startServer(t, func(c *testConfig) {
		o := &c.Options
		o.Buckets, o.StartServers, o.MinSpareServers, o.MaxSpareServers, o.MaxRequestWorkers = 3, 3, 3, 6, 24
	})
	start := time.Now()
	for range 18 { // held
		conn, _, _, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Logf("18 connections held at once after %s", time.Since(start))
}
