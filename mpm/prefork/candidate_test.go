package prefork

import (
	"testing"
	"time"
)

// The candidate was killed for being overdue and has ended, while the master was
// stopped: word of it is there as soon as the master looks.
func TestAKilledCandidateIsNotGivenUpForALateMaster(t *testing.T) {
	w := newWorld(t)
	w.start()
	reply := w.ask(Reload)
	w.now = w.now.Add(w.options.CandidateTimeout)
	w.parent.advance(w.now)
	w.now = w.now.Add(lateness)
	w.parent.advance(w.now)
	if c := w.candidates[1]; !c.dead {
		t.Fatal("the candidate was not killed")
	}
	w.now = w.now.Add(time.Hour)
	w.parent.advance(w.now)
	if _, ok := answered(reply); ok || w.parent.trialOf(w.candidates[1].number) == nil {
		t.Fatal("a process that has ended was given up before it was reaped")
	}
	w.settle()
	if r, ok := answered(reply); !ok || len(r.Errors) == 0 {
		t.Errorf("result %+v, answered %v; want an error", r, ok)
	}
}
