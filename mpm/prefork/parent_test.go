package prefork

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
)

func exited(code int) syscall.WaitStatus { return syscall.WaitStatus(code << 8) }

func TestStopEndsEverything(t *testing.T) {
	t.Run("children, one of them deaf", func(t *testing.T) {
		w := newWorld(t)
		w.start()
		deaf := w.children(1)[1]
		deaf.deaf = true
		w.ask(Stop)
		if w.parent.done(w.now) {
			t.Fatal("done while a child lives")
		}
		w.pass(6 * time.Second)
		if !w.parent.done(w.now) || !deaf.dead {
			t.Error("the deaf child was not killed")
		}
		w.parent.release()
	})
	t.Run("in the middle of a reload", func(t *testing.T) {
		w := newWorld(t)
		w.start()
		reload, queued := w.ask(Reload), w.ask(Reload)
		w.candidateDone()
		stop := w.ask(Stop)
		w.settle()
		if !w.parent.done(w.now) {
			t.Fatal("not done")
		}
		w.parent.release()
		for _, reply := range []<-chan Result{reload, queued} {
			if r, ok := answered(reply); !ok || len(r.Errors) == 0 {
				t.Errorf("a reload that a stop cut short: %+v, answered %v", r, ok)
			}
		}
		if _, ok := answered(stop); !ok {
			t.Error("the stop was not answered")
		}
	})
	t.Run("after a candidate was reaped whose report never closes", func(t *testing.T) {
		w := newWorld(t)
		w.start()
		w.ask(Reload)
		c := w.candidates[1]
		w.exit(c, exited(1))
		w.parent.handle(childrenEnded{}, w.now)
		w.ask(Stop)
		if len(c.signals) > 0 {
			t.Errorf("signals to a process that was reaped: %v", c.signals)
		}
		w.pass(2 * reportPatience)
		if !w.parent.done(w.now) {
			t.Error("the stop waits for the report of a process that has ended")
		}
	})
	t.Run("while a candidate works", func(t *testing.T) {
		w := newWorld(t)
		w.parent.begin(w.now)
		w.ask(Stop)
		if !w.parent.done(w.now) || !w.candidates[0].dead {
			t.Error("the candidate was not killed")
		}
	})
}

func TestADeadChildIsReplacedAtOnce(t *testing.T) {
	w := newWorld(t)
	w.options.MinSpareServers = 3
	w.start()
	w.exit(w.children(1)[0], syscall.WaitStatus(syscall.SIGSEGV))
	w.settle()
	if n := len(w.children(1)); n != 3 {
		t.Errorf("%d children, want 3", n)
	}
}

func TestChildrenThatNeverGetReadyAreSpawnedMoreAndMoreSlowly(t *testing.T) {
	w := newWorld(t)
	w.options.MinSpareServers = 3
	w.start()
	before := w.nextPID
	w.exit(w.children(1)[0], syscall.WaitStatus(syscall.SIGSEGV))
	for range 600 { // half a minute in which each new child dies at once
		w.now = w.now.Add(50 * time.Millisecond)
		for _, c := range w.children(1) {
			if w.states[c.slot] == mpm.StateStarting {
				w.exit(c, exited(2))
			}
		}
		w.settle()
	}
	if spawned := w.nextPID - before; spawned > 14 {
		t.Errorf("%d children spawned in half a minute", spawned)
	}
}

func TestAfterALongPauseOneChildHasToShowThatItCanLive(t *testing.T) {
	w := newWorld(t)
	w.options.MinSpareServers, w.options.MaxSpareServers = 6, 8
	w.options.StartServers = 6
	w.start()
	die := func() {
		for _, c := range w.children(1) {
			w.exit(c, exited(2))
		}
		w.settle()
	}
	for len(w.children(1)) > 0 || w.parent.serving.failures < 15 { // until the pause is as long as it gets
		w.pass(50 * time.Millisecond)
		die()
	}
	before := w.nextPID
	w.pass(10*time.Second + 500*time.Millisecond)
	if spawned := w.nextPID - before; spawned != 1 {
		t.Errorf("%d children were spawned while the first had not shown that it can live", spawned)
	}
}

// A child that ends by itself before it was ready did not end as it should,
// whatever it says.
func TestChildrenThatLeaveBeforeTheyAreReadyAreSpawnedMoreAndMoreSlowly(t *testing.T) {
	w := newWorld(t)
	w.options.MinSpareServers = 3
	w.start()
	before := w.nextPID
	w.exit(w.children(1)[0], exited(2))
	for range 600 {
		w.now = w.now.Add(50 * time.Millisecond)
		for _, c := range w.children(1) {
			if w.states[c.slot] == mpm.StateStarting {
				w.exit(c, exited(0))
			}
		}
		w.settle()
	}
	if spawned := w.nextPID - before; spawned > 14 {
		t.Errorf("%d children spawned in half a minute", spawned)
	}
}

// Children that serve connections and are killed all the same, again and
// again, show that their like can live.
func TestChildrenThatServeBeforeTheyDieAreReplacedAtOnce(t *testing.T) {
	w := newWorld(t)
	w.options.MinSpareServers = 3
	w.start()
	before := w.nextPID
	for range 100 { // ten seconds
		w.now = w.now.Add(100 * time.Millisecond)
		first := w.children(1)[0]
		for _, c := range w.children(1) {
			w.conns[c.slot]++
		}
		w.exit(first, syscall.WaitStatus(syscall.SIGKILL))
		w.settle()
		w.ready(w.children(1)...)
	}
	if spawned := w.nextPID - before; spawned < 100 || len(w.children(1)) < 3 {
		t.Errorf("%d children were spawned for 100 that were killed; %d live", spawned, len(w.children(1)))
	}
	if n := w.parent.serving.failures; n > 0 {
		t.Errorf("%d of those deaths count as failures", n)
	}
}

// One that dies before it has served anybody is no sign of trouble while
// others, as young, serve.
func TestFailuresAreForgottenWhenAChildServes(t *testing.T) {
	w := newWorld(t)
	w.options.MinSpareServers = 3
	w.start()
	for range 100 {
		w.now = w.now.Add(100 * time.Millisecond)
		children := w.children(1)
		w.conns[children[0].slot]++
		w.exit(children[len(children)-1], syscall.WaitStatus(syscall.SIGKILL))
		w.exit(children[0], syscall.WaitStatus(syscall.SIGKILL))
		w.settle()
		w.ready(w.children(1)...)
		if n := w.parent.serving.failures; n > 2 {
			t.Fatalf("%d failures in a row count, while children serve", n)
		}
	}
}

func TestTooManyIdleChildrenLeaveOneByOne(t *testing.T) {
	w := newWorld(t)
	w.options.StartServers = 8
	w.start()
	w.pass(time.Second)
	if n := w.files[0].retiredOne; n != 1 {
		t.Fatalf("%d asked to leave, want 1", n)
	}
	w.pass(2 * time.Second)
	if n := w.files[0].retiredOne; n != 1 {
		t.Fatalf("%d asked to leave while the first has not gone", n)
	}
	w.exit(w.children(1)[0], 0)
	w.settle()
	if n := w.files[0].retiredOne; n != 2 {
		t.Errorf("%d asked to leave after the first has gone, want 2", n)
	}
}

// The end of a report pipe and the end of its process are two events, in
// either order.
func TestAChildIsGoneAfterBothItsEnds(t *testing.T) {
	w := newWorld(t)
	w.start()
	c := w.children(1)[0]
	w.parent.handle(childClosed{c.number}, w.now)
	if w.parent.byPID[c.number] == nil {
		t.Fatal("a child was forgotten before it was reaped")
	}
	w.exit(c, 0)
	w.parent.handle(childrenEnded{}, w.now)
	if w.parent.byPID[c.number] != nil {
		t.Error("a child that was reaped last is still known")
	}
}

// A child writes that it is ready and accepts at once; the master may retire
// its generation before it reads what was written.
func TestAChildThatServesBeforeItsReportIsReadIsNotSignalled(t *testing.T) {
	w := newWorld(t)
	w.options.MinSpareServers = 3
	w.start()
	w.exit(w.children(1)[0], 0)
	w.settle()
	early := w.children(1)[0]
	w.states[early.slot] = mpm.StateWriting // no report yet
	w.ask(Reload)
	w.candidateDone()
	w.ready(w.children(2)...)
	if len(early.signals) > 0 {
		t.Errorf("signals to a child that serves: %v", early.signals)
	}
}

// The master was stopped or busy: the child is ready, and its report unread.
func TestAChildIsNotEndedForALateMaster(t *testing.T) {
	w := newWorld(t)
	w.parent.begin(w.now)
	w.candidateDone()
	first := w.children(1)
	w.ready(first[:2]...)
	w.states[first[2].slot] = mpm.StateReady
	w.now = w.now.Add(time.Hour)
	w.settle()
	if len(first[2].signals) > 0 {
		t.Fatalf("signals to a child that is ready: %v", first[2].signals)
	}
	w.ready(first[2])
	if w.parent.serving == nil {
		t.Error("the generation does not serve")
	}
}

func TestAStopGivesUpOnWhatCannotBeKilled(t *testing.T) {
	w := newWorld(t)
	w.start()
	stuck := w.children(1)[0]
	stuck.stuck = true
	stop := w.ask(Stop)
	w.pass(20 * time.Second)
	if w.parent.done(w.now) {
		t.Fatal("it gave up within 20 s")
	}
	w.pass(30 * time.Second)
	if !w.parent.done(w.now) {
		t.Fatal("it never gives up")
	}
	if err := w.parent.leftover(); err == nil || !strings.Contains(err.Error(), "slot 0") {
		t.Errorf("error %v does not name the slot", err)
	}
	if r, ok := answered(stop); !ok || len(r.Errors) != 1 {
		t.Errorf("the stop's result is %+v, answered %v; want one error", r, ok)
	}
}

// Whatever becomes of an old generation's children, the serving one is not
// stopped or slowed down for it.
func TestAFatalEndOfAnOldChildIsNoMatter(t *testing.T) {
	w := newWorld(t)
	w.start()
	old := w.children(1)[0]
	w.states[old.slot] = mpm.StateWriting
	w.ask(Reload)
	w.candidateDone()
	w.ready(w.children(2)...)
	w.drainIdle(1)
	before := len(w.children(2))
	w.exit(old, exited(ExitFatal))
	w.pass(5 * time.Second)
	if g := w.parent.serving; w.parent.stopping || g == nil || g.number != 2 || g.failures > 0 {
		t.Errorf("generation 2 does not serve on as before: %+v", g)
	}
	if n := len(w.children(2)); n != before || len(w.parent.retired) > 0 {
		t.Errorf("%d children of generation 2, want %d; %d generations are retired, want none", n, before, len(w.parent.retired))
	}
}

// With children that take their time to become ready, a shortage is not
// answered again and again: those that start count as idle.
func TestSlowStartsMakeForNoMoreChildren(t *testing.T) {
	w := newWorld(t)
	w.start()
	for _, c := range w.children(1) {
		w.states[c.slot] = mpm.StateWriting
	}
	before := w.nextPID
	w.pass(10 * time.Second) // none of the new ones becomes ready meanwhile
	if n := w.nextPID - before; n < 2 || n > 3 {
		t.Errorf("%d children were spawned for 2 that were missing, want 2 or 3", n)
	}
}
