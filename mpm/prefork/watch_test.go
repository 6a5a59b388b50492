package prefork

import (
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// watched is a world whose first child runs something for 1 s at most.
func watched(t *testing.T) (*world, *fakeProcess) {
	t.Helper()
	w := newWorld(t)
	w.options.Watch = true
	w.start()
	child := w.children(1)[0]
	w.states[child.slot] = mpm.StateWriting
	w.runs[child.slot] = []scoreboard.Running{{Number: 1, Budget: time.Second}}
	return w, child
}

func killed(p *fakeProcess) bool {
	for _, sig := range p.signals {
		if sig == syscall.SIGKILL {
			return true
		}
	}
	return false
}

func TestAChildThatOverrunsIsKilledWithin100ms(t *testing.T) {
	w, child := watched(t)
	w.pass(900 * time.Millisecond)
	if killed(child) {
		t.Fatal("it was killed before its time")
	}
	w.pass(200 * time.Millisecond)
	if !killed(child) {
		t.Fatal("it runs on")
	}
	if w.said("a plugin runs without end", "slot=0", "cpu_timeout=1s") != 1 || w.look().Overruns != 1 {
		t.Errorf("%d overruns, log:\n%s", w.look().Overruns, w.log.String())
	}
	for _, other := range w.children(1)[1:] {
		if len(other.signals) > 0 {
			t.Errorf("another child got %v", other.signals)
		}
	}
}

func TestCodeThatComesBackNowAndThenMayRunOn(t *testing.T) {
	w, child := watched(t)
	for n := uint64(1); n < 20; n += 2 {
		w.runs[child.slot][0].Number = n
		w.pass(900 * time.Millisecond)
	}
	w.runs[child.slot][0].Budget = 0 // without bound
	w.pass(time.Hour)
	w.runs[child.slot][0] = scoreboard.Running{Budget: time.Second} // waits
	w.pass(time.Hour)
	if len(child.signals) > 0 {
		t.Errorf("it got %v", child.signals)
	}
}

// Whoever was stopped with the master, or runs while that does not look, is not
// blamed for it.
func TestNobodyOverrunsWhileTheMasterIsStopped(t *testing.T) {
	w, child := watched(t)
	w.pass(500 * time.Millisecond)
	w.now = w.now.Add(time.Hour)
	w.settle()
	if killed(child) {
		t.Fatal("it was killed for the master's pause")
	}
	w.pass(time.Second)
	if !killed(child) {
		t.Error("it is not watched any more")
	}
}

func TestARetiredChildIsWatched(t *testing.T) {
	w, child := watched(t)
	w.options.Watch = false
	w.ask(Reload)
	w.candidateDone()
	w.ready(w.children(2)...)
	w.drainIdle(1)
	w.pass(2 * time.Second)
	if !killed(child) {
		t.Error("it runs on")
	}
}

func TestWithoutAWatchNobodyIsWoken(t *testing.T) {
	w := newWorld(t)
	w.start()
	var next wakeUp
	w.parent.watchAll(w.now, &next)
	if !next.time.IsZero() {
		t.Errorf("the master wants to wake at %s", next.time)
	}
}
