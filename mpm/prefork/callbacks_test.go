package prefork

import (
	"slices"
	"testing"
	"time"
)

// Whoever watches hears of each reload that it begins and how it ends, in
// order, and at last of the stop.
func TestEachReloadIsAnnouncedAndEnds(t *testing.T) {
	w := newWorld(t)
	var heard []string
	hear := func(what string) { heard = append(heard, what) }
	w.parent.cfg.Serving = func(Status) { hear("serving") }
	w.parent.cfg.Reloading = func() { hear("reloading") }
	w.parent.cfg.Failed = func(r Result) {
		if r.Generation != 2 || len(r.Errors) == 0 {
			t.Errorf("the failed reload is told as %+v", r)
		}
		hear("failed")
	}
	w.parent.cfg.Stopping = func(within time.Duration) {
		if within < w.options.KillTimeout {
			t.Errorf("the stop may take %s, less than kill_timeout", within)
		}
		hear("stopping")
	}
	w.start()
	w.ask(Reload)
	w.candidateDone()
	w.ready(w.children(2)...)
	w.drainIdle(1)

	w.openErr = errFake
	w.ask(Reload)
	w.candidateDone()
	w.ask(Stop)
	w.ask(Stop)
	want := []string{"serving", "reloading", "serving", "reloading", "failed", "stopping"}
	if !slices.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
}

func TestAFailedStartIsNoStop(t *testing.T) {
	w := newWorld(t)
	w.parent.cfg.Stopping = func(time.Duration) { t.Error("a stop is announced of a server that never served") }
	w.openErr = errFake
	w.parent.begin(w.now)
	w.candidateDone()
	if w.parent.failed == nil {
		t.Error("the start did not fail")
	}
}
