package prefork

import (
	"strings"
	"testing"
	"time"
)

func TestAReopeningIsAnsweredWhenEveryChildHasFollowed(t *testing.T) {
	w := newWorld(t)
	w.start()
	slow := w.children(1)[1]
	w.behind = []int{slow.number}
	reply := w.ask(ReopenLogs)
	w.pass(time.Second)
	if r, ok := answered(reply); ok {
		t.Fatalf("answered while a child writes to the old files: %+v", r)
	}
	w.behind = nil
	w.pass(50 * time.Millisecond)
	if r, ok := answered(reply); !ok || len(r.Errors) > 0 || r.Generation != 1 {
		t.Errorf("%+v, %v", r, ok)
	}
}

func TestAChildThatDoesNotFollowIsNamed(t *testing.T) {
	w := newWorld(t)
	w.start()
	stuck := w.children(1)[1]
	w.behind = []int{stuck.number}
	first := w.ask(ReopenLogs)
	w.pass(time.Second)
	second := w.ask(ReopenLogs)
	w.pass(newLogsPatience - 500*time.Millisecond)
	if _, ok := answered(first); ok {
		t.Error("the first is answered before the second has had its time")
	}
	w.pass(time.Second)
	for _, reply := range []<-chan Result{first, second} {
		r, ok := answered(reply)
		if !ok || len(r.Errors) != 1 || !strings.Contains(r.Errors[0], "in slot 1, generation 1,") {
			t.Errorf("%+v, %v", r, ok)
		}
	}
	if stuck.dead || len(stuck.signals) > 0 {
		t.Error("the child is not left alone")
	}
}

func TestAReopeningThatFailsSaysWhy(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.reopenErr = errFake
	if r, ok := answered(w.ask(ReopenLogs)); !ok || len(r.Errors) != 1 || r.Errors[0] != errFake.Error() {
		t.Errorf("%+v, %v", r, ok)
	}
}

// A graceful stop takes long; the logs go on meanwhile. A stop does not.
func TestLogsAreReopenedDuringAGracefulStop(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ask(GracefulStop)
	if r, ok := answered(w.ask(ReopenLogs)); !ok || len(r.Errors) > 0 {
		t.Errorf("during a graceful stop: %+v, %v", r, ok)
	}
	w.behind = []int{w.children(1)[0].number}
	waiting := w.ask(ReopenLogs)
	w.children(1)[0].deaf = true
	w.ask(Stop)
	if r, ok := answered(waiting); !ok || len(r.Errors) != 1 {
		t.Errorf("at a stop: %+v, %v", r, ok)
	}
	if r, ok := answered(w.ask(ReopenLogs)); !ok || len(r.Errors) != 1 {
		t.Errorf("after a stop: %+v, %v", r, ok)
	}
}
