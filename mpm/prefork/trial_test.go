package prefork

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
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

// Idle children sleep, and a connection wakes one of them and no other: however
// many there are, nobody wakes in vain.
func TestAConnectionWakesOneIdleChild(t *testing.T) {
	s, connections, path := startIdle(t)
	for _, child := range ownChildren(t) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			t.Fatal(err)
		}
		untilAsleep(t, pid)
	}
	for range connections {
		pid, err := s.exchange()
		if err != nil {
			t.Fatal(err)
		}
		untilAsleep(t, pid)
	}
	s.stopGracefully()
	_, sum := readTally(t, path)
	if sum != (tally{served: uint64(connections)}) {
		t.Errorf("%d connections: %+v", connections, sum)
	}
}

// A connection that comes while a child is just about to sleep may be taken by that
// one in passing, and wakes another in vain; nothing else does.
func TestAChildAboutToSleepMayTakeAnothersConnection(t *testing.T) {
	s, connections, path := startIdle(t)
	for range connections {
		if err := s.ping("one"); err != nil {
			t.Fatal(err)
		}
	}
	s.stopGracefully()
	told, sum := readTally(t, path)
	t.Logf("%d children, %+v", told, sum)
	if sum.served != uint64(connections) {
		t.Errorf("%d connections were served, not %d", sum.served, connections)
	}
	if sum.inVain > sum.inPassing {
		t.Errorf("%d wake-ups in vain, and only %d connections were taken in passing", sum.inVain, sum.inPassing)
	}
}

// startIdle starts a server of many children, for so many connections one after the
// other. Each child that leaves writes its tally to the file.
func startIdle(t *testing.T) (s *server, connections int, tally string) {
	t.Helper()
	children := sized(16, 64)
	tally = filepath.Join(t.TempDir(), "tally")
	s = startServer(t, func(c *testConfig) {
		c.Tally = tally
		c.Options.StartServers, c.Options.MinSpareServers, c.Options.MaxSpareServers = children, 1, children+1
		c.Options.MaxRequestWorkers, c.Options.ServerLimit = children, children
	})
	return s, sized(500, 10_000), tally
}

// untilAsleep waits until a child waits for events; see proc_pid_syscall(5). Go's
// runtime waits for its own with room for 128, and a child for fewer.
func untilAsleep(t *testing.T, pid int) {
	t.Helper()
	epollWait := strconv.Itoa(unix.SYS_EPOLL_PWAIT)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
		if err != nil || len(threads) == 0 {
			t.Fatalf("child %d has no threads: %v", pid, err)
		}
		for _, thread := range threads {
			raw, err := os.ReadFile(thread)
			if errors.Is(err, os.ErrPermission) {
				t.Skipf("what a child does cannot be seen: %v", err)
			}
			// Its number, then its arguments: the third is the room, the fourth the timeout.
			call := strings.Fields(string(raw))
			if len(call) > 4 && call[0] == epollWait && call[3] != "0x80" && call[4] != "0x0" {
				return
			}
		}
	}
	t.Fatalf("child %d does not go to sleep", pid)
}

// readTally adds up what the children wrote that have left.
func readTally(t *testing.T, path string) (children int, sum tally) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(raw) {
		var one tally
		if _, err := fmt.Sscan(string(line), &one.served, &one.inPassing, &one.inVain); err != nil {
			t.Fatalf("tally %q: %v", line, err)
		}
		children++
		sum.served, sum.inPassing, sum.inVain = sum.served+one.served, sum.inPassing+one.inPassing, sum.inVain+one.inVain
	}
	return children, sum
}

// stopGracefully lets every child leave by itself.
func (s *server) stopGracefully() {
	s.Helper()
	s.ask(GracefulStop)
	if err := <-s.ended; err != nil {
		s.Errorf("stop: %v", err)
	}
	s.ended = nil
}

// A random child is killed again and again. Each costs the one connection that
// it served, if any, and no other.
func TestChildrenKilledUnderLoadCostOnlyTheirOwnConnections(t *testing.T) {
	lasts := sized(3*time.Second, time.Minute)
	s := startServer(t, nil)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	l := s.startTrialLoad(8)
	killed := make(map[int]bool)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for over := time.After(lasts); ; {
		select {
		case <-over:
		case <-tick.C:
			if children := ownChildren(t); len(children) > 0 {
				pid, err := strconv.Atoi(children[random.IntN(len(children))])
				if err != nil {
					t.Fatal(err)
				}
				if err := unix.Kill(pid, unix.SIGKILL); err == nil {
					killed[pid] = true
				}
			}
			continue
		}
		break
	}
	l.stop()
	t.Logf("%d children killed, %d connections, %d lost, the slowest took %s", len(killed), l.made.Load(), len(l.lost), l.slowest)
	if len(l.lost) > len(killed) {
		t.Errorf("%d connections were lost by %d kills", len(l.lost), len(killed))
	}
	costs := make(map[int]int)
	for _, lost := range l.lost {
		if lost.pid == 0 {
			continue // its child had not said which it is
		}
		if costs[lost.pid]++; !killed[lost.pid] || costs[lost.pid] > 1 {
			t.Errorf("a connection to child %d was lost, which was killed: %v; it is number %d of that child: %v",
				lost.pid, killed[lost.pid], costs[lost.pid], lost.err)
		}
	}
}

// trialLoad are clients that go on after they have lost a connection, and tell
// which child it was lost with.
type trialLoad struct {
	quit  chan struct{}
	group sync.WaitGroup
	made  atomic.Int64

	mu      sync.Mutex
	lost    []lostConn
	slowest time.Duration
}

type lostConn struct {
	pid int // 0 if the child had not said
	err error
}

func (s *server) startTrialLoad(clients int) *trialLoad {
	l := &trialLoad{quit: make(chan struct{})}
	for range clients {
		l.group.Go(func() {
			for {
				select {
				case <-l.quit:
					return
				default:
				}
				begun := time.Now()
				pid, err := s.exchange()
				l.made.Add(1)
				l.note(pid, err, time.Since(begun))
			}
		})
	}
	return l
}

func (l *trialLoad) stop() {
	close(l.quit)
	l.group.Wait()
}

func (l *trialLoad) note(pid int, err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.lost = append(l.lost, lostConn{pid, err})
	}
	l.slowest = max(l.slowest, took)
}

// exchange is a whole conversation on a connection of its own. It returns the
// child that served it, as far as that is known.
func (s *server) exchange() (pid int, err error) {
	conn, _, pid, err := s.dial()
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	for range 3 {
		if _, err := conn.Write([]byte("ping")); err != nil {
			return pid, err
		}
		if _, err := io.ReadFull(conn, make([]byte, 4)); err != nil {
			return pid, err
		}
	}
	return pid, nil
}

// While a candidate takes its time, the old generation serves as ever.
func TestASlowCandidateIsNotFelt(t *testing.T) {
	s := startServer(t, nil)
	l := s.startTrialLoad(4)
	s.cfg.Pause, s.cfg.Greeting = sized(2*time.Second, 20*time.Second), "two"
	s.write()
	begun := time.Now()
	r := s.ask(Reload)
	took := time.Since(begun)
	l.stop()
	t.Logf("the reload took %s, %d connections, the slowest %s", took, l.made.Load(), l.slowest)
	if len(r.Errors) > 0 || took < s.cfg.Pause {
		t.Errorf("after %s, the reload: %+v", took, r)
	}
	for _, lost := range l.lost {
		if lost.err != io.EOF { // which ends one between two messages when the old generation leaves
			t.Errorf("a connection was lost: %v", lost.err)
		}
	}
	if l.slowest > s.cfg.Pause*3/4 {
		t.Errorf("a connection took %s while the candidate was at work", l.slowest)
	}
}

// Each of two ports that are never quiet gets its share of the only child.
func TestBusyListenersShareAChild(t *testing.T) {
	s := startServer(t, func(c *testConfig) {
		c.Options.Listeners = append(c.Options.Listeners, mpm.Listener{Name: "other", Address: "127.0.0.1:0", Backlog: 128})
		c.Options.StartServers, c.Options.MinSpareServers, c.Options.MaxSpareServers, c.Options.MaxRequestWorkers = 1, 1, 2, 1
	})
	other := *s
	other.addr = s.sockets[1].Address.String()
	// The one with more clients does not get more than its turn.
	many, few := s.startTrialLoad(16), other.startTrialLoad(2)
	over := time.NewTimer(sized(time.Second, 10*time.Second))
	<-over.C
	many.stop()
	few.stop()
	a, b := many.made.Load(), few.made.Load()
	t.Logf("%d connections with 16 clients, %d with 2", a, b)
	if len(many.lost)+len(few.lost) > 0 {
		t.Errorf("%d and %d connections were lost", len(many.lost), len(few.lost))
	}
	// By their number it would be 8 to 1.
	if b == 0 || a > 4*b {
		t.Errorf("%d connections were served on one listener and %d on the other", a, b)
	}
}
