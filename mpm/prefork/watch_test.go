package prefork

import (
	"math/rand/v2"
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
	w.pass(time.Second) // it is at rest
	child := w.children(1)[0]
	w.states[child.slot] = mpm.StateWriting
	w.run(child.slot, scoreboard.Running{Number: 1, Budget: time.Second})
	return w, child
}

// passUntil lets time pass in steps of 5 ms until it is so, and says how much.
func (w *world) passUntil(ok func() bool) (took time.Duration) {
	for begun := w.now; !ok(); w.now = w.now.Add(5 * time.Millisecond) {
		if took = w.now.Sub(begun); took > time.Minute {
			w.t.Fatal("it is not so after a minute")
		}
		w.settle()
	}
	return took
}

// However the looks fall, and whether the bell rang or others ran already.
func TestAnOverrunIsFoundWithin100msOfItsTime(t *testing.T) {
	for phase := time.Duration(0); phase <= 2*watchInterval; phase += 5 * time.Millisecond {
		w, first := watched(t)
		w.run(first.slot, scoreboard.Running{Number: 1}) // without bound
		begun := w.now
		w.passUntil(func() bool { return w.now.Sub(begun) >= phase })
		child := w.children(1)[1]
		w.states[child.slot] = mpm.StateWriting
		w.run(child.slot, scoreboard.Running{Number: 7, Budget: time.Second})
		if took := w.passUntil(func() bool { return killed(child) }); took < time.Second || took > 1100*time.Millisecond {
			t.Errorf("begun %s after another: killed after %s", phase, took)
		}
	}
	w, child := watched(t)
	if took := w.passUntil(func() bool { return killed(child) }); took < time.Second || took > 1100*time.Millisecond {
		t.Errorf("begun at rest: killed after %s", took)
	}
}

// Whoever has not had a processor for his time has not overrun it.
func TestAChildThatWaitsForAProcessorIsNotBlamed(t *testing.T) {
	w, child := watched(t)
	w.sharing = 10
	if took := w.passUntil(func() bool { return killed(child) }); took < 9*time.Second || took > 10*time.Second+10*100*time.Millisecond {
		t.Errorf("with a tenth of a processor, killed after %s", took)
	}
}

// Where the kernel does not tell how long a process has run, all time counts.
func TestWithoutTheProcessorsTimeTheClockCounts(t *testing.T) {
	w, child := watched(t)
	w.sharing = 0
	if took := w.passUntil(func() bool { return killed(child) }); took < time.Second || took > 1100*time.Millisecond {
		t.Errorf("killed after %s", took)
	}
}

func TestAMasterAtRestDoesNotLook(t *testing.T) {
	w, child := watched(t)
	w.run(child.slot, scoreboard.Running{})
	w.pass(time.Second)
	looks := w.looks
	var next wakeUp
	w.parent.watchAll(w.now, &next)
	w.pass(time.Minute)
	if w.looks != looks || !next.time.IsZero() {
		t.Errorf("%d looks in a minute, the next at %s", w.looks-looks, next.time)
	}
	w.run(child.slot, scoreboard.Running{Number: 3, Budget: time.Second})
	w.pass(2 * time.Second)
	if !killed(child) {
		t.Error("the bell woke nobody")
	}
}

// Code that begins just before the bell is hung is seen by the look after it.
func TestNoRunSlipsPastTheBell(t *testing.T) {
	w, child := watched(t)
	w.run(child.slot, scoreboard.Running{})
	w.beforeAsked = func() {
		w.beforeAsked = nil
		w.run(child.slot, scoreboard.Running{Number: 3, Budget: time.Second})
	}
	w.pass(2 * time.Second)
	if w.beforeAsked != nil || !killed(child) {
		t.Error("it runs on")
	}
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
	w.settle()
	if w.said("child ended", "slot=0", "killed by this server") != 1 {
		t.Errorf("its end is told wrongly:\n%s", w.log.String())
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
		w.run(child.slot, scoreboard.Running{Number: n, Budget: time.Second})
		w.pass(900 * time.Millisecond)
	}
	w.run(child.slot, scoreboard.Running{Number: 19}) // without bound
	w.pass(time.Hour)
	w.run(child.slot, scoreboard.Running{Budget: time.Second}) // waits
	w.pass(time.Hour)
	if len(child.signals) > 0 {
		t.Errorf("it got %v", child.signals)
	}
}

// A run goes on after waits that were none, however the looks fall.
func TestWaitsForNothingDoNotHideARun(t *testing.T) {
	w, child := watched(t)
	random := rand.New(rand.NewPCG(1, 2))
	took := w.passUntil(func() bool {
		w.run(child.slot, scoreboard.Running{Number: random.Uint64N(2), Budget: time.Second})
		return killed(child)
	})
	if took < time.Second || took > 1500*time.Millisecond {
		t.Errorf("killed after %s", took)
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
