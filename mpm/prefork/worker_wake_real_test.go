package prefork

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A child whose threads are all taken is woken by nobody: each connection finds
// the other child at once.
func TestAFullChildSwallowsNoWakeUp(t *testing.T) {
	s := startCrew(t, 2, 2, func(c *testConfig) { c.Options.StartServers, c.Options.MaxSpareThreads = 2, 10 })
	held := make(map[int][]net.Conn)
	full := 0
	for full == 0 {
		conn, _, pid, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if held[pid] = append(held[pid], conn); len(held[pid]) == 2 {
			full = pid
		}
	}
	for pid, conns := range held {
		if pid != full {
			_ = conns[0].Close()
		}
	}
	for i := range 200 {
		begun := time.Now()
		conn, _, pid, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		if took := time.Since(begun); pid == full || took > 5*time.Second {
			t.Fatalf("connection %d: child %d after %s, while %d is full", i, pid, took, full)
		}
	}
	_ = held[full][0].Close() // and it takes part again
	again := 0
	for range 3 { // as many as are free
		conn, _, pid, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if pid == full {
			again++
		}
	}
	if again != 1 {
		t.Errorf("the child with one free thread took %d of three connections", again)
	}
}

// Every thread is held in the middle of a message when a reload comes: the next
// generation serves at once.
func TestHeldThreadsHoldUpNoReload(t *testing.T) {
	s := startCrew(t, 1, 4, nil)
	for range 4 {
		conn, _, _, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := conn.Write([]byte("hold")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
	}
	s.until("all threads are busy", func(now Snapshot) bool { return now.Busy == 4 })
	s.cfg.Greeting = "two"
	s.write()
	if r := s.ask(Reload); len(r.Errors) > 0 {
		t.Fatalf("reload: %+v", r)
	}
	begun := time.Now()
	if err := s.ping("two"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("the new generation serves after %s", took)
	}
}

// A child of one connection has one processor, slack timers, and does not interrupt
// others if that is wanted; one of many has what there is.
func TestAChildHasWhatItsModelNeeds(t *testing.T) {
	if os.Getenv("GOMAXPROCS") != "" {
		t.Skip("GOMAXPROCS is set, and counts")
	}
	look := func(s *server) (processors bool, slack string, batch bool) {
		conn, _, pid, err := s.dial()
		if err != nil {
			s.Fatal(err)
		}
		defer conn.Close()
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			s.Fatal(err)
		}
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/timerslack_ns", pid))
		if err != nil {
			s.Skipf("the kernel does not show timer slack: %v", err)
		}
		return strings.Contains(string(env), "GOMAXPROCS=1\x00"), strings.TrimSpace(string(raw)), allBatch(s.T, pid)
	}
	t.Run("prefork", func(t *testing.T) {
		if one, slack, batch := look(startServer(t, func(c *testConfig) { c.Options.Batch = true })); !one || slack != strconv.FormatInt(childTimerSlack.Nanoseconds(), 10) || !batch {
			t.Errorf("one processor %v, slack %s ns, batch %t", one, slack, batch)
		}
	})
	t.Run("worker", func(t *testing.T) {
		if one, slack, batch := look(startCrew(t, 1, 2, nil)); one || slack != strconv.FormatInt(crewTimerSlack.Nanoseconds(), 10) || batch {
			t.Errorf("one processor %v, slack %s ns, batch %t", one, slack, batch)
		}
	})
}

// allBatch reports whether each thread of a process has the policy for those who let
// others run.
func allBatch(t *testing.T, pid int) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("threads of process %d: %v, %v", pid, threads, err)
	}
	for _, dir := range threads {
		thread, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			t.Fatal(err)
		}
		attr, err := unix.SchedGetAttr(thread, 0)
		if errors.Is(err, unix.ESRCH) { // it has ended
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if attr.Policy != unix.SCHED_BATCH {
			return false
		}
	}
	return true
}

func TestAnOperatorsProcessorsCount(t *testing.T) {
	if got := withProcessors([]string{"A=B"}, 2); !slices.Equal(got, []string{"A=B", "GOMAXPROCS=2"}) {
		t.Errorf("%q", got)
	}
	own := []string{"GOMAXPROCS=7"}
	if got := withProcessors(own, 1); !slices.Equal(got, own) {
		t.Errorf("%q", got)
	}
}
