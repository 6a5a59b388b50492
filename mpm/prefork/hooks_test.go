package prefork

import (
	"slices"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
)

// hooked makes the master say which hooks run, in order. Those in fails return
// an error.
func hooked(w *world, fails map[string]bool) *[]string {
	var ran []string
	note := func(name string) func(*mpm.Options) error {
		return func(o *mpm.Options) error {
			if o == nil {
				w.t.Errorf("%s without options", name)
			}
			ran = append(ran, name)
			if fails[name] {
				return errFake
			}
			return nil
		}
	}
	w.parent.cfg.Hooks = mpm.Hooks{
		OpenLogs: note("open logs"), PostConfig: note("post config"), PreMPM: note("pre mpm"),
		EndGeneration: func(uint64) { ran = append(ran, "end of generation") },
		Monitor:       func() { ran = append(ran, "monitor") },
	}
	return &ran
}

func TestTheHooksOfTheMasterRunInOrder(t *testing.T) {
	w := newWorld(t)
	ran := hooked(w, nil)
	w.start()
	w.ask(Reload)
	w.candidateDone()
	w.ready(w.children(2)...)
	w.drainIdle(1)
	w.ask(Restart)
	w.candidateDone()
	w.ready(w.children(3)...)
	w.ask(Stop)
	w.parent.release()
	want := []string{
		"open logs", "post config", "pre mpm", // the start
		"open logs", "post config", "end of generation", // a reload
		"open logs", "post config", "pre mpm", "end of generation", // a restart
		"end of generation", // the stop
	}
	if !slices.Equal(*ran, want) {
		t.Errorf("ran %q, want %q", *ran, want)
	}
}

func TestAHookThatFailsEndsTheReload(t *testing.T) {
	for _, name := range []string{"open logs", "post config", "pre mpm"} {
		w := newWorld(t)
		fails := make(map[string]bool)
		hooked(w, fails)
		w.start()
		fails[name] = true
		reply := w.ask(Restart)
		w.candidateDone()
		if r, ok := answered(reply); !ok || r.Generation != 1 || len(r.Errors) != 1 {
			t.Errorf("%s fails: %+v, %v", name, r, ok)
		}
		if n := len(w.children(2)); n > 0 {
			t.Errorf("%s fails: %d children of the next generation", name, n)
		}
		if next := w.files[1:]; len(next) > 0 && !next[0].released {
			t.Errorf("%s fails: the generation's files are kept", name)
		}
	}
}

func TestEachChildIsToldOfTwice(t *testing.T) {
	w := newWorld(t)
	w.parent.cfg.PID = 77
	told := make(map[int][]mpm.ChildStatus)
	w.parent.cfg.Hooks.ChildStatus = func(s mpm.ChildStatus) { told[s.PID] = append(told[s.PID], s) }
	w.start()
	w.ask(Reload)
	w.candidateDone()
	w.ready(w.children(2)...)
	w.ask(Stop)
	if len(told) < 6 {
		t.Errorf("told of %d children, want at least 6", len(told))
	}
	for pid, s := range told {
		p := w.procs[pid]
		started := mpm.ChildStatus{Server: 77, PID: pid, Generation: p.gen, Slot: p.slot, State: mpm.ChildStarted}
		exited := started
		exited.State = mpm.ChildExited
		if !slices.Equal(s, []mpm.ChildStatus{started, exited}) {
			t.Errorf("of child %d: %+v", pid, s)
		}
	}
}

func TestTheMonitorRunsEveryTenSeconds(t *testing.T) {
	w := newWorld(t)
	ran := hooked(w, nil)
	w.start()
	*ran = nil
	w.pass(35 * time.Second)
	if want := []string{"monitor", "monitor", "monitor"}; !slices.Equal(*ran, want) {
		t.Errorf("in 35 s ran %q, want %q", *ran, want)
	}
}

func TestTheMasterKnowsItsPhase(t *testing.T) {
	w := newWorld(t)
	phase := func(want mpm.Phase, generation uint64) {
		t.Helper()
		if f := w.parent.facts(); f.Phase != want || f.Generation != generation {
			t.Errorf("phase %d of generation %d, want %d of %d", f.Phase, f.Generation, want, generation)
		}
	}
	phase(mpm.PhaseStarting, 0)
	w.start()
	phase(mpm.PhaseRunning, 1)
	w.states[0] = mpm.StateWriting
	w.ask(GracefulStop)
	w.pass(time.Second)
	phase(mpm.PhaseStopping, 1)
}

// What crashes is reported once, for a while at most, and not by root.
func TestACrashIsReportedOnce(t *testing.T) {
	reports := make(chan mpm.FatalException, 10)
	c := new(Child)
	if c.crashReport(1000) != nil {
		t.Error("without a hook there is a report")
	}
	c.hooks.FatalException = func(what mpm.FatalException) { reports <- what }
	if c.crashReport(0) != nil {
		t.Error("root reports a crash")
	}
	report := c.crashReport(1000)
	report(mpm.FatalException{PID: 1})
	report(mpm.FatalException{PID: 2})
	if got := <-reports; got.PID != 1 || len(reports) != 0 {
		t.Errorf("reported %+v and %d more", got, len(reports))
	}
}
