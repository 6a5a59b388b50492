package prefork

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/scoreboard"
)

func (w *world) look() Snapshot {
	reply := make(chan Snapshot, 1)
	w.parent.handle(inspected{reply}, w.now)
	return <-reply
}

func TestASnapshotShowsEachChild(t *testing.T) {
	w := newWorld(t)
	w.parent.begin(w.now)
	if s := w.look(); s.State != "starting" || s.Scoreboard != "" || s.LastReload != nil {
		t.Errorf("before the first generation: %+v", s)
	}
	w.candidateDone()
	if s := w.look(); s.Scoreboard != "SSS" || s.Generations[0] != (GenerationStatus{1, "proving", 3}) {
		t.Errorf("while the first generation starts: %+v", s)
	}
	w.ready(w.children(1)...)
	w.states[1] = mpm.StateKeepalive
	w.reports[1] = threadReport{ThreadStatus: scoreboard.ThreadStatus{Totals: scoreboard.Totals{Connections: 1}}}
	s := w.look()
	if s.State != "serving" || s.Scoreboard != "_K_....." || s.Idle != 2 || s.Busy != 1 || s.LastReload != nil {
		t.Errorf("while it serves: %+v", s)
	}

	w.ask(Reload)
	w.candidateDone()
	w.ready(w.children(2)...)
	w.drainIdle(1)
	w.now = w.now.Add(3 * time.Second)
	s = w.look()
	if s.Scoreboard != ".G.____." && s.Scoreboard != ".G.___.." {
		t.Errorf("after a reload the scoreboard is %s", s.Scoreboard)
	}
	if len(s.Generations) != 2 || s.Generations[0] != (GenerationStatus{1, "retired", 1}) || s.Generations[1].State != "serving" {
		t.Errorf("generations after a reload: %+v", s.Generations)
	}
	old := s.Slots[0]
	if old.Slot != 1 || old.Generation != 1 || old.State != "graceful" || old.Letter != "G" ||
		old.ChildConnections != 1 || old.SlotConnections != 1 || old.AgeSeconds < 3 {
		t.Errorf("the child of the old generation: %+v", old)
	}
	if s.LastReload == nil || s.LastReload.Generation != 2 || len(s.LastReload.Errors) != 0 {
		t.Errorf("the last reload: %+v", s.LastReload)
	}
	w.ask(GracefulStop)
	if s := w.look(); s.State != "stopping gracefully" || s.Generations[1].State != "draining" {
		t.Errorf("during a graceful stop: %+v", s)
	}
}

func TestASnapshotShowsFailures(t *testing.T) {
	w := newWorld(t)
	w.options.MinSpareServers = 3
	w.start()
	w.ask(Reload)
	c := w.candidates[1]
	w.parent.handle(candidateSaid{c.number, sayError, "config.toml:1: nonsense"}, w.now)
	w.exit(c, exited(1))
	w.settle()
	for range 5 {
		for _, c := range w.children(1) {
			w.exit(c, syscall.WaitStatus(syscall.SIGSEGV))
		}
		w.settle()
	}
	s := w.look()
	if s.LastReload == nil || s.LastReload.Generation != 1 || !strings.Contains(strings.Join(s.LastReload.Errors, "\n"), "nonsense") {
		t.Errorf("the last reload: %+v", s.LastReload)
	}
	if s.Spawning.Failures < 3 || s.Spawning.PausedSeconds <= 0 {
		t.Errorf("spawning: %+v", s.Spawning)
	}
	w.pass(time.Hour)
	if s := w.look(); s.Spawning.Failures != 0 || s.Spawning.PausedSeconds != 0 {
		t.Errorf("spawning, an hour later: %+v", s.Spawning)
	}
}

// A child that writes what it likes into its slot misleads about its own work
// and about nothing else.
func TestASnapshotOfLyingChildren(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.states[0], w.states[1], w.states[2] = mpm.StateDead, mpm.StateIdleKill, mpm.StateStarting
	s := w.look()
	if s.Scoreboard != "CIS....." || len(s.Slots) != 3 {
		t.Errorf("the scoreboard is %s: %+v", s.Scoreboard, s.Slots)
	}
	if _, err := json.Marshal(s); err != nil {
		t.Error(err)
	}
}
