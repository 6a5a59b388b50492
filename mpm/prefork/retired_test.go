package prefork

import (
	"slices"
	"syscall"
	"testing"
	"time"
)

// held makes reloads in which one child of each generation goes on serving.
func (w *world) held(reloads int) (busy []*fakeProcess) {
	w.t.Helper()
	for range reloads {
		g := w.parent.serving.number
		c := w.children(g)[0]
		w.serve(c)
		busy = append(busy, c)
		w.reloaded(w.parent.number + 1)
	}
	return busy
}

func TestTheOldestGenerationsEndWhenThereAreTooMany(t *testing.T) {
	w := newWorld(t)
	w.options.MaxOldGenerations = 2
	w.start()
	busy := w.held(2)
	busy[0].deaf = true
	if len(busy[0].signals)+len(busy[1].signals) > 0 {
		t.Fatal("two are ended where two are allowed")
	}
	busy = append(busy, w.held(1)...)
	w.settle()
	if !slices.Equal(busy[0].signals, []syscall.Signal{syscall.SIGTERM}) {
		t.Fatalf("signals to the oldest: %v, want SIGTERM", busy[0].signals)
	}
	if w.said("level=WARN", "max_old_generations", "generation=1") != 1 {
		t.Errorf("it was not told:\n%s", w.log.String())
	}
	w.pass(6 * time.Second)
	if !busy[0].dead {
		t.Error("one that ignores SIGTERM was not killed")
	}
	if len(busy[1].signals)+len(busy[2].signals) > 0 {
		t.Error("younger ones were ended, too")
	}
}

// A generation that is idle leaves by itself: it is none too many.
func TestIdleOldGenerationsPushNobodyOut(t *testing.T) {
	w := newWorld(t)
	w.options.MaxOldGenerations = 1
	w.start()
	busy := w.held(1)[0]
	for range 4 {
		g := w.parent.serving.number
		w.ask(Reload)
		w.candidateDone()
		w.ready(w.children(g + 1)...) // and those of g are still there
		w.drainIdle(g)
		w.pass(100 * time.Millisecond)
	}
	if len(busy.signals) > 0 {
		t.Errorf("signals to the one that serves: %v", busy.signals)
	}
}

// One that neither serves nor leaves has two seconds, as for the answer.
func TestAnOldGenerationThatDoesNotLeaveCounts(t *testing.T) {
	w := newWorld(t)
	w.options.MaxOldGenerations = 1
	w.start()
	busy := w.held(1)[0]
	hung := w.children(2)[0]
	w.ask(Reload)
	w.candidateDone()
	w.ready(w.children(3)...)
	for _, c := range w.children(2)[1:] {
		w.exit(c, 0)
	}
	w.pass(time.Second)
	if len(busy.signals) > 0 {
		t.Fatal("the oldest is ended for one that is about to leave")
	}
	w.pass(2 * time.Second)
	if len(busy.signals) == 0 || len(hung.signals) > 0 {
		t.Errorf("signals to the oldest %v, to the next %v", busy.signals, hung.signals)
	}
}

// A generation that never served pushes out none that does.
func TestAFailedGenerationPushesNobodyOut(t *testing.T) {
	w := newWorld(t)
	w.options.MaxOldGenerations, w.options.ServerLimit = 1, 20
	w.start()
	busy := w.held(1)[0]
	w.ask(Reload)
	w.candidateDone()
	next := w.children(3)
	w.ready(next[0])
	w.serve(next[0]) // so it says, and does not leave
	w.exit(next[1], exited(2))
	w.settle()
	w.pass(5 * time.Second)
	if w.parent.serving.number != 2 || len(busy.signals) > 0 {
		t.Errorf("generation %d serves; signals to the one that serves on: %v", w.parent.serving.number, busy.signals)
	}
}

func TestZeroOldGenerationsIsNoLimit(t *testing.T) {
	w := newWorld(t)
	w.options.MaxOldGenerations, w.options.ServerLimit = 0, 40
	w.start()
	for _, busy := range w.held(20) {
		if len(busy.signals) > 0 {
			t.Fatalf("signals %v", busy.signals)
		}
	}
}

// All workers are held by connections when the reload comes.
func TestAReloadFindsSlotsWhileEveryWorkerIsBusy(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.allBusy(5 * time.Second)
	if n := len(w.children(1)); n != w.options.MaxRequestWorkers {
		t.Fatalf("%d children, want max_request_workers %d", n, w.options.MaxRequestWorkers)
	}
	w.reloaded(2)
	if n := len(w.children(2)); n != w.options.ServerLimit-w.options.MaxRequestWorkers {
		t.Errorf("%d new children, want all slots that are left", n)
	}
}
