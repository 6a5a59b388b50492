package prefork

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
)

// serve makes a child busy.
func (w *world) serve(p *fakeProcess) { w.states[p.slot] = mpm.StateWriting }

func TestAGracefulStopEmptiesTheQueuesFirst(t *testing.T) {
	w := newWorld(t)
	w.start()
	f := w.files[0]
	for _, c := range w.children(1) {
		w.serve(c)
	}
	f.inQueue = 20
	reply := w.ask(GracefulStop)
	if !f.drained {
		t.Fatal("more connections get into the queues")
	}
	for range 10 {
		w.pass(time.Second)
		w.ready(w.children(1)...)
		for _, c := range w.children(1) {
			w.serve(c)
		}
	}
	if n := len(w.children(1)); n != 8 || f.retired || w.parent.done(w.now) {
		t.Fatalf("%d children while clients wait, want all 8; retired %v", n, f.retired)
	}
	f.inQueue = 0
	w.pass(time.Second)
	if !f.retired {
		t.Fatal("the generation goes on with empty queues")
	}
	busy := w.children(1)[:2]
	for _, c := range w.children(1)[2:] {
		w.exit(c, 0)
	}
	w.pass(time.Hour)
	if _, ok := answered(reply); ok || w.parent.done(w.now) || len(w.children(1)) != 2 {
		t.Fatal("it is over while two children serve")
	}
	for _, c := range busy {
		if len(c.signals) > 0 {
			t.Errorf("a child that serves got %v", c.signals)
		}
		w.exit(c, 0)
	}
	w.settle()
	if !w.parent.done(w.now) {
		t.Fatal("it is not over after the last child")
	}
	w.parent.release()
	if r, ok := answered(reply); !ok || len(r.Errors) > 0 {
		t.Errorf("answered %+v, %v", r, ok)
	}
}

// A handshake that was under way when the queues were shut has time to end.
func TestAGracefulStopLetsHandshakesEnd(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ask(GracefulStop)
	w.pass(settleTime - 50*time.Millisecond)
	if w.files[0].retired {
		t.Error("retired before the queues have settled")
	}
	w.pass(100 * time.Millisecond)
	if !w.files[0].retired {
		t.Error("not retired after the queues have settled")
	}
}

func TestAGracefulStopWaitsForOldGenerations(t *testing.T) {
	w := newWorld(t)
	w.options.GracefulRestartTimeout = 0
	w.start()
	old := w.children(1)[0]
	w.serve(old)
	w.ask(Reload)
	w.candidateDone()
	w.ready(w.children(2)...)
	w.drainIdle(1)
	w.ask(GracefulStop)
	w.pass(time.Second)
	w.drainIdle(2)
	if len(old.signals) > 0 || w.parent.done(w.now) {
		t.Fatal("it does not wait for a child of an old generation")
	}
	w.exit(old, 0)
	w.settle()
	if !w.parent.done(w.now) {
		t.Error("it is not over")
	}
	w.parent.release()
}

func TestAGracefulStopHasABound(t *testing.T) {
	for name, waiting := range map[string]int{"while children serve": 0, "while clients wait": 3} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.options.GracefulShutdownTimeout = 10 * time.Second
			w.options.GracefulRestartTimeout = time.Second // is for reloads
			w.start()
			for _, c := range w.children(1) {
				w.serve(c)
				c.deaf = true
			}
			w.files[0].inQueue = waiting
			busy := w.children(1)
			w.ask(GracefulStop)
			w.pass(9900 * time.Millisecond)
			if len(busy[0].signals) > 0 {
				t.Fatalf("signals %v before the bound", busy[0].signals)
			}
			w.pass(200 * time.Millisecond)
			if !slices.Equal(busy[0].signals, []syscall.Signal{syscall.SIGTERM}) {
				t.Fatalf("signals %v at the bound, want SIGTERM", busy[0].signals)
			}
			w.pass(6 * time.Second)
			if !slices.Contains(busy[0].signals, syscall.SIGKILL) || !w.parent.done(w.now) {
				t.Errorf("signals %v at the end, done %v", busy[0].signals, w.parent.done(w.now))
			}
			w.parent.release()
		})
	}
}

func TestAStopEndsAGracefulStop(t *testing.T) {
	w := newWorld(t)
	w.start()
	for _, c := range w.children(1) {
		w.serve(c)
	}
	graceful := w.ask(GracefulStop)
	w.pass(time.Second)
	again := w.ask(GracefulStop)
	stop := w.ask(Stop)
	w.settle()
	if !w.parent.done(w.now) {
		t.Fatal("it goes on")
	}
	w.parent.release()
	for _, reply := range []<-chan Result{graceful, again, stop} {
		if _, ok := answered(reply); !ok {
			t.Error("somebody was not answered")
		}
	}
}

func TestAGracefulStopCancelsReloads(t *testing.T) {
	t.Run("one whose candidate works, and one after it", func(t *testing.T) {
		w := newWorld(t)
		w.start()
		running, queued := w.ask(Reload), w.ask(Reload)
		w.ask(GracefulStop)
		late := w.ask(Reload)
		for _, reply := range []<-chan Result{running, queued, late} {
			if r, ok := answered(reply); !ok || len(r.Errors) == 0 {
				t.Errorf("a reload and a graceful stop: %+v, answered %v", r, ok)
			}
		}
		w.pass(time.Second)
		w.drainIdle(1)
		if !w.candidates[1].dead || !w.parent.done(w.now) {
			t.Error("it is not over")
		}
		w.parent.release()
	})
	t.Run("one whose children start", func(t *testing.T) {
		w := newWorld(t)
		w.start()
		running := w.ask(Reload)
		w.candidateDone()
		w.ask(GracefulStop)
		if r, ok := answered(running); !ok || len(r.Errors) == 0 || w.files[1].opened {
			t.Errorf("the reload: %+v, answered %v", r, ok)
		}
		w.pass(time.Second)
		w.drainIdle(1)
		if !w.parent.done(w.now) {
			t.Error("it is not over")
		}
		w.parent.release()
	})
	t.Run("the first start", func(t *testing.T) {
		w := newWorld(t)
		w.parent.begin(w.now)
		w.ask(GracefulStop)
		if !w.parent.done(w.now) || !w.candidates[0].dead {
			t.Error("the candidate was not killed")
		}
	})
}

// The children are ended at the bound by a look at the clock, so their deadline
// has to be looked at then, too.
func TestAGracefulStopWakesUpForItsKills(t *testing.T) {
	w := newWorld(t)
	w.options.GracefulShutdownTimeout = 10 * time.Second
	w.start()
	busy := w.children(1)[0]
	w.serve(busy)
	busy.deaf = true
	w.ask(GracefulStop)
	w.pass(time.Second)
	w.drainIdle(1)
	w.now = w.now.Add(10 * time.Second)
	wake := w.parent.advance(w.now)
	if len(busy.signals) != 1 {
		t.Fatalf("signals %v at the bound, want SIGTERM", busy.signals)
	}
	if want := w.now.Add(w.options.KillTimeout); wake.IsZero() || wake.After(want) {
		t.Errorf("the master wants to wake up at %s, %s after the kill is due", wake, wake.Sub(want))
	}
}
