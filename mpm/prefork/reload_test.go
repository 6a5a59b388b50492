package prefork

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
)

func TestAGenerationServesOnlyWhenAllItsChildrenAreReady(t *testing.T) {
	w := newWorld(t)
	w.parent.begin(w.now)
	w.candidateDone()
	first := w.children(1)
	if len(first) != 3 {
		t.Fatalf("%d children at the start, want 3", len(first))
	}
	w.ready(first[:2]...)
	if w.parent.serving != nil || w.files[0].opened {
		t.Fatal("it serves with a child that is not ready")
	}
	w.ready(first[2])
	if !w.files[0].opened {
		t.Error("its children may not accept")
	}
	if len(w.served) != 1 || w.served[0].Children != 3 {
		t.Errorf("served: %+v", w.served)
	}
}

func TestAReloadIsAnsweredWhenNoOldChildWillAcceptAgain(t *testing.T) {
	w := newWorld(t)
	w.start()
	busy := w.children(1)[0]
	w.states[busy.slot] = mpm.StateWriting

	reply := w.ask(Reload)
	w.candidateDone()
	if w.files[0].retired {
		t.Fatal("the old generation was retired before the new one was ready")
	}
	w.ready(w.children(2)...)
	if !w.files[0].retired {
		t.Fatal("the old generation was not retired")
	}
	if r, ok := answered(reply); ok {
		t.Fatalf("answered %+v while old children are idle", r)
	}
	w.drainIdle(1)
	r, ok := answered(reply)
	if !ok || r.Generation != 2 || len(r.Errors) > 0 {
		t.Errorf("result %+v, answered %v; want generation 2", r, ok)
	}
	if busy.dead || len(busy.signals) > 0 {
		t.Error("a child that serves was signalled")
	}
	w.exit(busy, 0)
	w.settle()
	if !w.files[0].released {
		t.Error("the old generation was not released after its last child")
	}
}

func TestABadReloadChangesNothing(t *testing.T) {
	bad := map[string]func(w *world){
		"the candidate finds an error": func(w *world) {
			c := w.candidates[1]
			w.parent.handle(candidateSaid{c.number, sayError, "config.toml:1: nonsense"}, w.now)
			w.exit(c, exited(1))
			w.settle()
		},
		"the candidate crashes": func(w *world) {
			w.exit(w.candidates[1], exited(2))
			w.settle()
		},
		"the candidate says done and crashes before it is asked": func(w *world) {
			w.openErr = errFake
			w.candidateDone()
		},
		"the candidate never ends": func(w *world) { w.pass(11 * time.Second) },
		"server_limit changed": func(w *world) {
			w.options.ServerLimit = 99
			w.candidateDone()
		},
		"user changed": func(w *world) {
			w.options.Privileges.Identity = &mpm.Identity{UID: 1, GID: 1}
			w.candidateDone()
			w.options.Privileges.Identity = nil
		},
		"no child can be spawned": func(w *world) {
			w.spawnErr = errFake
			w.candidateDone()
			w.spawnErr = nil
		},
		"a child fails": func(w *world) {
			w.candidateDone()
			c := w.children(2)[1]
			w.parent.handle(childSaid{pid: c.number, fail: "no such thing"}, w.now)
			w.exit(c, exited(ExitFatal))
			w.settle()
		},
		"a child crashes": func(w *world) {
			w.candidateDone()
			w.exit(w.children(2)[1], exited(2))
			w.settle()
		},
		"children are killed again and again": func(w *world) {
			w.candidateDone()
			for range proofTries + 1 {
				w.exit(w.children(2)[0], syscall.WaitStatus(syscall.SIGKILL))
				w.settle()
			}
		},
		"the candidate never ends and cannot be killed": func(w *world) {
			w.candidates[1].stuck = true
			w.pass(10*time.Second + lateness + unkillable + time.Second)
		},
		"the candidate asks for more time again and again": func(w *world) {
			for range 2 * reportLinesMax {
				w.parent.handle(candidateSaid{w.candidates[1].number, sayTimeout, "1s"}, w.now)
				w.now = w.now.Add(100 * time.Millisecond)
				w.settle()
			}
		},
		"a child is never ready": func(w *world) {
			w.candidateDone()
			w.ready(w.children(2)[0])
			w.pass(31 * time.Second)
			w.exit(w.children(2)[0], 0) // the one that was ready leaves: its pipe is closed
			w.settle()
		},
	}
	for name, spoil := range bad {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.start()
			before := w.children(1)
			reply := w.ask(Reload)
			spoil(w)
			r, ok := answered(reply)
			if !ok || len(r.Errors) == 0 || r.Generation != 1 {
				t.Fatalf("result %+v, answered %v; want errors and generation 1", r, ok)
			}
			after := w.children(1)
			if len(after) != len(before) || w.files[0].retired {
				t.Errorf("generation 1 has %d of %d children, retired: %v", len(after), len(before), w.files[0].retired)
			}
			if left := w.children(2); len(left) > 0 {
				t.Errorf("%d children of the failed generation are left", len(left))
			}
			w.spawnErr, w.openErr, w.options.ServerLimit = nil, nil, 12
			reply = w.ask(Reload)
			w.candidateDone()
			next := w.parent.number
			w.ready(w.children(next)...)
			w.drainIdle(1)
			if r, ok := answered(reply); !ok || len(r.Errors) > 0 {
				t.Errorf("the next good reload: %+v, answered %v", r, ok)
			}
		})
	}
}

// A child is reaped, and the end of its report not read yet, when the last of
// the others gets ready.
func TestAGenerationDoesNotServeWithAChildThatHasEnded(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ask(Reload)
	w.candidateDone()
	next := w.children(2)
	w.ready(next[:2]...)
	w.exit(next[0], exited(2))
	w.parent.handle(childrenEnded{}, w.now)
	w.parent.handle(childSaid{pid: next[2].number, ready: true}, w.now)
	w.parent.advance(w.now)
	if w.files[1].opened || w.files[0].retired {
		t.Error("a generation took over with a child that has ended")
	}
}

// Its slot has any state that is not starting: a child's slot proves nothing.
func TestAChildThatNeverSaysItIsReadyEndsTheReload(t *testing.T) {
	w := newWorld(t)
	w.start()
	reply := w.ask(Reload)
	w.candidateDone()
	next := w.children(2)
	w.ready(next[:2]...)
	w.states[next[2].slot] = mpm.StateReady
	w.pass(33 * time.Second)
	if r, ok := answered(reply); !ok || len(r.Errors) == 0 || r.Generation != 1 {
		t.Errorf("result %+v, answered %v; want errors and generation 1", r, ok)
	}
}

func TestATimedOutCandidateIsNamedByItsStep(t *testing.T) {
	w := newWorld(t)
	w.start()
	reply := w.ask(Reload)
	w.parent.handle(candidateSaid{w.candidates[1].number, sayTimeout, "2s"}, w.now)
	w.parent.handle(candidateSaid{w.candidates[1].number, sayStep, `plugin "spin": child_init`}, w.now)
	w.pass(3 * time.Second)
	r, _ := answered(reply)
	if got := strings.Join(r.Errors, ";"); !strings.Contains(got, `plugin "spin": child_init`) || !strings.Contains(got, "2s") {
		t.Errorf("errors %q name neither step nor limit", got)
	}
}

func TestAKilledChildOfTheNextGenerationIsReplaced(t *testing.T) {
	w := newWorld(t)
	w.start()
	reply := w.ask(Reload)
	w.candidateDone()
	w.exit(w.children(2)[0], syscall.WaitStatus(syscall.SIGKILL))
	w.settle()
	if n := len(w.children(2)); n != 3 {
		t.Fatalf("%d children of the new generation, want 3", n)
	}
	w.ready(w.children(2)...)
	w.drainIdle(1)
	if r, ok := answered(reply); !ok || len(r.Errors) > 0 {
		t.Errorf("result %+v, answered %v", r, ok)
	}
}

func TestRequestsDuringAReloadBecomeOneMore(t *testing.T) {
	w := newWorld(t)
	w.start()
	first := w.ask(Reload)
	second, third := w.ask(Reload), w.ask(Reload)
	w.candidateDone()
	w.ready(w.children(2)...)
	w.drainIdle(1)
	if _, ok := answered(first); !ok {
		t.Fatal("the first reload was not answered")
	}
	w.pass(100 * time.Millisecond)
	if len(w.candidates) != 3 {
		t.Fatalf("%d candidates, want 3: start, reload, one follow-up", len(w.candidates))
	}
	w.candidateDone()
	w.ready(w.children(3)...)
	w.drainIdle(2)
	for i, reply := range []<-chan Result{second, third} {
		if r, ok := answered(reply); !ok || r.Generation != 3 {
			t.Errorf("follow-up %d: %+v, answered %v", i, r, ok)
		}
	}
}

func TestAChildThatCannotBeKilledHoldsUpNoReload(t *testing.T) {
	w := newWorld(t)
	w.start()
	reply := w.ask(Reload)
	w.candidateDone()
	next := w.children(2)
	next[1].stuck = true
	w.ready(next[0], next[2])
	w.pass(31 * time.Second)
	if r, ok := answered(reply); !ok || len(r.Errors) != 1 {
		t.Errorf("result %+v, answered %v; want one error", r, ok)
	}
}

func TestAskingAgainGrantsAChildNoMoreTime(t *testing.T) {
	w := newWorld(t)
	w.start()
	busy := w.children(1)[0]
	w.states[busy.slot], busy.deaf = mpm.StateWriting, true
	for gen := uint64(2); gen <= 4; gen++ {
		w.ask(Restart)
		w.candidateDone()
		w.ready(w.children(gen)...)
		w.pass(2500 * time.Millisecond)
	}
	if !busy.dead {
		t.Errorf("a child lives 7.5 s after it was told to end, with a kill timeout of 5 s; signals: %v", busy.signals)
	}
}

func TestRestartEndsWhatOlderGenerationsServe(t *testing.T) {
	w := newWorld(t)
	w.start()
	oldest := w.children(1)[0]
	w.states[oldest.slot] = mpm.StateReading
	w.ask(Reload)
	w.candidateDone()
	w.ready(w.children(2)...)
	w.drainIdle(1)
	old := w.children(2)[0]
	w.states[old.slot] = mpm.StateWriting
	w.ask(Restart)
	w.candidateDone()
	w.ready(w.children(3)...)
	for _, busy := range []*fakeProcess{oldest, old} {
		if len(busy.signals) != 1 || busy.signals[0] != syscall.SIGTERM {
			t.Errorf("signals to a busy child of generation %d: %v, want TERM", busy.gen, busy.signals)
		}
	}
}

func TestARetiredChildIsEndedAtItsDeadline(t *testing.T) {
	w := newWorld(t)
	w.options.GracefulRestartTimeout = time.Minute
	w.start()
	busy := w.children(1)[0]
	w.states[busy.slot], busy.deaf = mpm.StateWriting, true
	w.ask(Reload)
	w.candidateDone()
	w.ready(w.children(2)...)
	w.drainIdle(1)
	w.pass(59 * time.Second)
	if len(busy.signals) > 0 {
		t.Fatalf("signalled before the deadline: %v", busy.signals)
	}
	w.pass(2 * time.Second)
	if len(busy.signals) != 1 || busy.signals[0] != syscall.SIGTERM {
		t.Fatalf("signals at the deadline: %v, want TERM", busy.signals)
	}
	w.pass(6 * time.Second)
	if !busy.dead {
		t.Error("a child that ignores TERM was not killed")
	}
}

func TestAFailedStartEndsTheMaster(t *testing.T) {
	w := newWorld(t)
	w.parent.begin(w.now)
	w.candidateDone()
	for _, c := range w.children(1) {
		w.parent.handle(childSaid{pid: c.number, fail: "it is broken"}, w.now)
		w.exit(c, exited(ExitFatal))
	}
	w.settle()
	if !w.parent.done(w.now) || w.parent.failed == nil {
		t.Fatal("the master goes on without a generation")
	}
	if got := w.parent.failed.Errors; len(got) != 1 || !strings.Contains(got[0], "it is broken") {
		t.Errorf("reasons %q, want the one reason once", got)
	}
}

func TestACandidateIsNotKilledForALateMaster(t *testing.T) {
	w := newWorld(t)
	w.start()
	reply := w.ask(Reload)
	w.now = w.now.Add(time.Hour)
	w.parent.advance(w.now)
	if c := w.candidates[1]; len(c.signals) > 0 {
		t.Fatalf("signals to the candidate: %v", c.signals)
	}
	w.candidateDone()
	w.ready(w.children(2)...)
	w.drainIdle(1)
	if r, ok := answered(reply); !ok || len(r.Errors) > 0 {
		t.Errorf("result %+v, answered %v", r, ok)
	}
}

// Somebody else holds the report pipe of a process that has ended.
func TestAReportThatNeverClosesHangsNothing(t *testing.T) {
	w := newWorld(t)
	w.start()
	c := w.children(1)[0]
	w.exit(c, exited(2))
	w.parent.handle(childrenEnded{}, w.now)
	w.parent.advance(w.now)
	if w.parent.byPID[c.number] == nil {
		t.Fatal("the report was not waited for")
	}
	w.now = w.now.Add(2 * reportPatience)
	w.parent.advance(w.now)
	if w.parent.byPID[c.number] != nil {
		t.Error("the child is not forgotten")
	}

	reply := w.ask(Reload)
	w.exit(w.candidates[1], exited(1))
	w.parent.handle(childrenEnded{}, w.now)
	w.parent.handle(candidateSaid{w.candidates[1].number, sayStep, "said before it ended"}, w.now)
	w.now = w.now.Add(2 * reportPatience)
	w.parent.advance(w.now)
	if r, ok := answered(reply); !ok || len(r.Errors) == 0 {
		t.Errorf("the reload hangs: %+v, answered %v", r, ok)
	}
}
