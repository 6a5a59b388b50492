package prefork

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestReloadsUnderLoadLoseNothing(t *testing.T) {
	s := startServer(t, nil)
	const reloads = 10
	stop, clients := s.clients(8, "")
	for i := range reloads {
		s.cfg.Greeting = fmt.Sprintf("generation-%d", i+2)
		s.write()
		if r := s.ask(Reload); len(r.Errors) > 0 || r.Generation != uint64(i+2) {
			t.Fatalf("reload: %+v", r)
		}
		conn, greeting, _, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		if greeting != s.cfg.Greeting {
			t.Errorf("after the reload %q answered, want %q", greeting, s.cfg.Greeting)
		}
	}
	close(stop)
	clients.Wait()
}

func TestAHeldConnectionOutlivesItsGeneration(t *testing.T) {
	s := startServer(t, nil)
	held, _, _, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	s.cfg.Greeting = "refuse"
	s.write()
	if r := s.ask(Reload); len(r.Errors) == 0 || !strings.Contains(r.Errors[0], "refusing to serve") {
		t.Fatalf("a reload that cannot work: %+v", r)
	}
	if _, err := held.Write([]byte("still")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(held, make([]byte, 5)); err != nil {
		t.Errorf("the failed reload ended a connection: %v", err)
	}
	conn, greeting, _, err := s.dial()
	if err != nil || greeting != "one" {
		t.Fatalf("after the failed reload: %q, %v", greeting, err)
	}
	_ = conn.Close()

	s.cfg.Greeting = "two"
	s.write()
	if r := s.ask(Reload); len(r.Errors) > 0 {
		t.Fatalf("reload: %+v", r)
	}
	// Idle between messages, the old child closes the connection and leaves.
	if n, err := held.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read on an idle connection of the old generation: %d, %v; want EOF", n, err)
	}
}

func TestAKilledChildCostsOnlyItsOwnConnection(t *testing.T) {
	s := startServer(t, nil)
	mine, _, pid, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	other, _, _, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := mine.Read(make([]byte, 1)); err == nil {
		t.Error("a connection outlived its child")
	}
	_ = mine.Close()
	if _, err := other.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(other, make([]byte, 1)); err != nil {
		t.Errorf("another child's connection was lost: %v", err)
	}
	for range 20 {
		conn, _, _, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
}

// Five spare children, and many more clients at once, none of whom leaves.
func TestABurstFindsChildrenInTime(t *testing.T) {
	clients, within := sized(40, 100), sized(20*time.Second, 2*time.Second)
	s := startServer(t, func(c *testConfig) {
		c.Options.StartServers, c.Options.MinSpareServers, c.Options.MaxSpareServers = 5, 5, 10
		c.Options.MaxRequestWorkers, c.Options.ServerLimit = 128, 128
	})
	var group sync.WaitGroup
	conns, waits := make([]net.Conn, clients), make([]time.Duration, clients)
	begun := time.Now()
	for i := range clients {
		group.Go(func() {
			conn, _, _, err := s.dial()
			if err != nil {
				t.Errorf("client %d: %v", i, err)
				return
			}
			conns[i], waits[i] = conn, time.Since(begun)
		})
	}
	group.Wait()
	last := slices.Max(waits)
	t.Logf("%d connections held at once: the last was greeted after %s", clients, last)
	if last > within {
		t.Errorf("a client waited for %s, want %s at most", last, within)
	}
	for _, c := range conns {
		if c != nil {
			_ = c.Close()
		}
	}
}

func TestDescriptorsAreLevelOverManyReloads(t *testing.T) {
	s := startServer(t, nil)
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("there is no /proc here")
		}
		n := 0
		for _, e := range entries { // each slot keeps its page once it was used
			if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.Contains(to, "apphost-slot") {
				n++
			}
		}
		return n
	}
	reload := func() {
		if r := s.ask(Reload); len(r.Errors) > 0 {
			t.Fatalf("reload: %+v", r)
		}
	}
	for range 5 {
		reload()
	}
	before := count()
	for range 30 {
		reload()
	}
	// Old generations end a moment after the answer.
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for count() > before {
		select {
		case <-deadline:
			t.Fatalf("%d descriptors, %d before 30 reloads", count(), before)
		case <-tick.C:
		}
	}
}

func TestAChildLeavesAfterItsShareOfConnections(t *testing.T) {
	s := startServer(t, func(c *testConfig) {
		c.Options.MaxConnectionsPerChild = 3
		c.Options.StartServers, c.Options.MinSpareServers, c.Options.MaxSpareServers, c.Options.MaxRequestWorkers = 1, 1, 2, 1
	})
	served := make(map[int]int)
	for range 12 {
		conn, _, pid, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		served[pid]++
		_ = conn.Close()
	}
	if len(served) < 4 {
		t.Errorf("%d children served 12 connections, want 4", len(served))
	}
	for pid, n := range served {
		if n > 3 {
			t.Errorf("child %d served %d connections, its share is 3", pid, n)
		}
	}
}

// Each child serves one connection and leaves: a reload must not wait for a
// moment in which all the new ones happen to be there.
func TestAReloadEndsWithChildrenThatServeOneConnectionEach(t *testing.T) {
	s := startServer(t, func(c *testConfig) {
		c.Options.MaxConnectionsPerChild, c.Options.StartServers = 1, 10
	})
	stop, clients := s.clients(8, "")
	for range 3 {
		if r := s.ask(Reload); len(r.Errors) > 0 {
			t.Fatalf("reload: %+v", r)
		}
	}
	close(stop)
	clients.Wait()
}

// Some children of the new generation become ready and one refuses: not one
// client may have been served by it.
func TestAGenerationThatFailsHasServedNobody(t *testing.T) {
	s := startServer(t, func(c *testConfig) { c.Options.StartServers = 6 })
	stop, clients := s.clients(4, "one")
	s.cfg.Greeting = refuseTheFourth + t.TempDir()
	s.write()
	for range 5 {
		if r := s.ask(Reload); len(r.Errors) == 0 || r.Generation != 1 {
			t.Fatalf("reload: %+v", r)
		}
	}
	close(stop)
	clients.Wait()
}

// More than a pipe holds at once.
func TestEveryErrorOfACandidateArrives(t *testing.T) {
	s := startServer(t, nil)
	s.cfg.Greeting = "flood"
	s.write()
	if r := s.ask(Reload); len(r.Errors) != floodLines {
		t.Errorf("%d errors arrived, want %d", len(r.Errors), floodLines)
	}
}
