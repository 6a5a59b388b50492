package prefork

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
)

// onProbation is a world in which generation 2 has just taken over from 1.
func onProbation(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.options.ProveTime, w.options.ProveDeaths = 10*time.Second, 3
	w.start()
	w.reloaded(2)
	return w
}

// reloaded brings a generation into service.
func (w *world) reloaded(number uint64) {
	w.t.Helper()
	before := w.parent.serving.number
	w.ask(Reload)
	w.candidateDone()
	w.ready(w.children(number)...)
	w.drainIdle(before)
	if w.parent.serving.number != number {
		w.t.Fatalf("generation %d serves, want %d", w.parent.serving.number, number)
	}
}

// die ends the first child of a generation in some way.
func (w *world) die(gen uint64, status syscall.WaitStatus) {
	w.t.Helper()
	children := w.children(gen)
	if len(children) == 0 {
		w.t.Fatalf("generation %d has no children", gen)
	}
	w.exit(children[0], status)
	w.settle()
}

func TestAGenerationWhoseChildrenDieIsRolledBack(t *testing.T) {
	w := onProbation(t)
	w.die(2, exited(2))
	w.die(2, syscall.WaitStatus(syscall.SIGSEGV))
	if len(w.files) != 2 {
		t.Fatal("it goes back after two deaths of three")
	}
	w.die(2, syscall.WaitStatus(syscall.SIGKILL))
	if len(w.files) != 3 || w.files[2].image != w.files[0].image {
		t.Fatal("the image of generation 1 does not come back")
	}
	if w.files[1].retired || w.files[2].opened {
		t.Fatal("nobody serves while the children of the old image start")
	}
	w.ready(w.children(3)...)
	w.drainIdle(2)
	if g := w.parent.serving; g.number != 3 || g.image != w.files[0].image || !w.files[1].retired {
		t.Fatalf("generation %d serves", g.number)
	}
	last := w.served[len(w.served)-1]
	want := []string{
		"exit status 2 (the Go runtime's after a crash; its report is above)", "ended by SIGSEGV", "killed by SIGKILL (by an operator, or for want of memory)",
	}
	if b := last.RollBack; b == nil || b.From != 2 || b.To != 1 || !slices.Equal(b.Reasons, want) {
		t.Errorf("it was told as %+v", last)
	}
	if n := w.said("level=ERROR", "did not prove itself", "generation=2", "back_to=1", "ended by SIGSEGV"); n != 1 {
		t.Errorf("%d lines say it:\n%s", n, w.log.String())
	}
	if r := w.look().LastReload; r == nil || r.Generation != 3 || r.RolledBackFrom != 2 || r.RolledBackTo != 1 || len(r.Errors) != 1 {
		t.Errorf("the last reload: %+v", r)
	}
	for range 3 { // what came back is not on probation
		w.die(3, exited(2))
	}
	if len(w.files) != 3 {
		t.Error("what came back was rolled back")
	}
}

func TestWhichDeathsCountAgainstAGeneration(t *testing.T) {
	for name, tc := range map[string]struct {
		die   func(w *world)
		count bool
	}{
		"a crash":           {func(w *world) { w.die(2, exited(2)) }, true},
		"plugins unusable":  {func(w *world) { w.die(2, exited(ExitFatal)) }, true},
		"a clean exit":      {func(w *world) { w.die(2, 0) }, false},
		"want of something": {func(w *world) { w.die(2, exited(ExitSick)) }, false},
		"asked by somebody": {func(w *world) { w.die(2, syscall.WaitStatus(syscall.SIGTERM)) }, false},
		"a clean exit before it was ready": {func(w *world) {
			c := w.children(2)[0]
			w.parent.byPID[c.number].ready = false
			w.exit(c, 0)
			w.settle()
		}, true},
		"never ready": {func(w *world) {
			c := w.children(2)[0]
			ch := w.parent.byPID[c.number]
			ch.ready, ch.startBy, w.states[c.slot] = false, w.now, mpm.StateStarting
			w.settle()
		}, true},
		"after prove_time": {func(w *world) {
			w.now = w.now.Add(10 * time.Second)
			w.die(2, exited(2))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := onProbation(t)
			w.ready(w.children(2)...)
			tc.die(w)
			got := w.parent.probation != nil && len(w.parent.probation.reasons) == 1
			if got != tc.count {
				t.Errorf("counts: %v, want %v", got, tc.count)
			}
		})
	}
}

func TestAGenerationThatHasProvedItselfStays(t *testing.T) {
	w := onProbation(t)
	first := w.parent.probation.fallback
	w.die(2, exited(2))
	w.die(2, exited(2))
	w.pass(11 * time.Second)
	if w.parent.probation != nil || first.users != 0 {
		t.Fatalf("the old image is kept, by %d", first.users)
	}
	for range 5 {
		w.pass(100 * time.Millisecond)
		w.ready(w.children(2)...)
		w.die(2, exited(2))
	}
	if len(w.files) != 2 {
		t.Error("it was rolled back all the same")
	}
}

func TestARollBackGoesToTheLastProvenGeneration(t *testing.T) {
	w := onProbation(t)
	w.pass(time.Second)
	w.reloaded(3)
	for range 3 {
		w.die(3, exited(2))
	}
	w.ready(w.children(4)...)
	w.drainIdle(3)
	if b := w.served[len(w.served)-1].RollBack; b == nil || b.To != 1 || w.parent.serving.image != w.files[0].image {
		t.Errorf("it went back to %+v", b)
	}
}

// Whoever asks for a reload while things are bad knows more than the master.
func TestAReloadUnderWayIsWaitedForBeforeARollBack(t *testing.T) {
	for name, good := range map[string]bool{"it works": true, "it fails": false} {
		t.Run(name, func(t *testing.T) {
			w := onProbation(t)
			reply := w.ask(Reload)
			for range 3 {
				w.die(2, exited(2))
			}
			if len(w.files) != 2 {
				t.Fatal("a generation is opened beside the reload")
			}
			if good {
				w.candidateDone()
				w.ready(w.children(3)...)
				w.drainIdle(2)
			} else {
				w.exit(w.candidates[len(w.candidates)-1], exited(2))
				w.settle()
			}
			if _, ok := answered(reply); !ok {
				t.Fatal("the reload was not answered")
			}
			w.ready(w.children(3)...)
			w.drainIdle(2)
			if back := w.served[len(w.served)-1].RollBack; (back == nil) != good {
				t.Errorf("rolled back: %+v", back)
			}
		})
	}
}

// A listener that the new configuration removed may be somebody else's by now.
func TestARollBackThatFailsIsToldAndLeavesWhatServes(t *testing.T) {
	for name, spoil := range map[string]func(w *world){
		"the address is taken": func(w *world) {
			w.openErr = errFake
			w.die(2, exited(2))
			w.openErr = nil
		},
		"the old image does not work any more": func(w *world) {
			w.die(2, exited(2))
			w.parent.handle(childSaid{pid: w.children(3)[0].number, fail: "fake failure"}, w.now)
			w.die(3, exited(ExitFatal))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := onProbation(t)
			image := w.parent.probation.fallback
			w.die(2, exited(2))
			w.die(2, exited(2))
			spoil(w)
			w.pass(time.Second)
			if g := w.parent.serving; g.number != 2 || w.files[1].retired {
				t.Fatalf("generation %d serves", g.number)
			}
			if len(w.failures) != 1 || !strings.Contains(strings.Join(w.failures[0].Errors, ";"), "fake failure") {
				t.Errorf("told as %+v", w.failures)
			}
			if w.said("level=ERROR", "cannot go back", "fake failure") == 0 {
				t.Errorf("not in the log:\n%s", w.log.String())
			}
			if r := w.look().LastReload; r.Generation != 2 || len(r.Errors) < 2 || r.RolledBackFrom != 0 {
				t.Errorf("the last reload: %+v", r)
			}
			if image.users != 0 {
				t.Errorf("the old image is kept, by %d", image.users)
			}
		})
	}
}

func TestAStopEndsAProbation(t *testing.T) {
	for name, what := range map[string]Request{"stop": Stop, "graceful stop": GracefulStop} {
		for when, deaths := range map[string]int{"on probation": 1, "while it goes back": 3} {
			t.Run(name+" "+when, func(t *testing.T) {
				w := onProbation(t)
				first := w.parent.probation.fallback
				for range deaths {
					w.die(2, exited(2))
				}
				w.ask(what)
				w.pass(time.Second)
				for gen := uint64(1); gen <= 3; gen++ {
					w.drainIdle(gen)
				}
				w.pass(time.Second)
				if !w.parent.done(w.now) {
					t.Fatal("it goes on")
				}
				w.parent.release()
				if first.users != 0 {
					t.Errorf("the old image is kept, by %d", first.users)
				}
			})
		}
	}
}

func TestZeroSwitchesRollBackOff(t *testing.T) {
	for name, set := range map[string]func(o *mpm.Options){
		"prove_deaths": func(o *mpm.Options) { o.ProveTime = time.Minute },
		"prove_time":   func(o *mpm.Options) { o.ProveDeaths = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			set(&w.options)
			w.start()
			w.reloaded(2)
			for range 5 {
				w.pass(100 * time.Millisecond)
				w.ready(w.children(2)...)
				w.die(2, exited(2))
			}
			if w.parent.probation != nil || len(w.files) != 2 {
				t.Error("it went back")
			}
		})
	}
}

// The first generation has nothing to go back to.
func TestTheFirstGenerationIsNotOnProbation(t *testing.T) {
	w := newWorld(t)
	w.options.ProveTime, w.options.ProveDeaths = 10*time.Second, 1
	w.start()
	w.die(1, exited(2))
	if len(w.files) != 1 || w.parent.reload != nil {
		t.Error("it went back to nothing")
	}
}
