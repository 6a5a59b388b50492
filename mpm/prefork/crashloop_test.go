package prefork

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// loop lets children of generation 1 die as soon as they are spawned.
func (w *world) loop(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(50 * time.Millisecond)
		for _, c := range w.children(1) {
			w.exit(c, exited(2))
		}
		w.settle()
	}
}

func TestACrashLoopIsToldWhenItBeginsAndWhenItIsOver(t *testing.T) {
	w := newWorld(t)
	w.start()
	for episode := 1; episode <= 2; episode++ {
		w.loop(time.Minute)
		if n := w.said("level=WARN", "more and more slowly"); n != episode {
			t.Fatalf("%d warnings in episode %d", n, episode)
		}
		if s := w.look().Spawning; !s.Slowed || s.Failures < 3 {
			t.Errorf("status in an episode: %+v", s)
		}
		for range 120 {
			w.pass(time.Second)
			w.ready(w.children(1)...)
		}
		if n := w.said("children live again"); n != episode {
			t.Fatalf("%d lines that it is over after episode %d", n, episode)
		}
		if s := w.look().Spawning; s.Slowed || s.Failures != 0 {
			t.Errorf("status after an episode: %+v", s)
		}
	}
	var told []bool
	for _, s := range w.spawning {
		told = append(told, s.Slowed)
	}
	if len(told) != 4 || !told[0] || told[1] || !told[2] || told[3] {
		t.Errorf("the service manager was told %v", told)
	}
}

func TestPausesDifferAndNeverExceedTheLongest(t *testing.T) {
	w := newWorld(t)
	for _, jitter := range []float64{0, 0.5, 0.999} {
		w.parent.cfg.Jitter = func() float64 { return jitter }
		for failures := range 40 {
			full, got := backoff(failures), w.parent.jittered(backoff(failures))
			if got > full || got < full*3/4 {
				t.Errorf("jitter %v after %d failures: a pause of %s, without jitter %s", jitter, failures, got, full)
			}
		}
	}
	w.parent.cfg.Jitter = func() float64 { return 0 }
	a := w.parent.jittered(time.Second)
	w.parent.cfg.Jitter = func() float64 { return 0.5 }
	if b := w.parent.jittered(time.Second); a == b {
		t.Error("jitter changes nothing")
	}
}

// The system has no processes or memory to give.
func TestAFailedSpawnBlocksNothingAndEndsNobody(t *testing.T) {
	w := newWorld(t)
	w.start()
	for _, c := range w.children(1) {
		w.serve(c)
	}
	w.spawnErr = syscall.EAGAIN
	w.pass(time.Minute)
	for _, c := range w.children(1) {
		if len(c.signals) > 0 {
			t.Errorf("a child that serves got %v", c.signals)
		}
	}
	if n := len(w.children(1)); n != 3 {
		t.Errorf("%d children, want the 3 that serve", n)
	}
	if n := w.said("cannot spawn child"); n != 1 {
		t.Errorf("one reason is told %d times", n)
	}
	wake := w.parent.advance(w.now)
	if s := w.look().Spawning; !s.Slowed || wake.Before(w.now) {
		t.Errorf("status %+v; the master wakes at %s, now it is %s", s, wake, w.now)
	}
	w.spawnErr = nil
	w.pass(11 * time.Second)
	if n := len(w.children(1)); n < 4 {
		t.Errorf("%d children when there is room again", n)
	}
	w.spawnErr = syscall.ENOMEM
	stop := w.ask(Stop)
	if !w.parent.done(w.now) {
		t.Error("a stop waits for something")
	}
	w.parent.release()
	if _, ok := answered(stop); !ok {
		t.Error("the stop is not answered")
	}
}

func TestALackOfProcessesFailsAReloadAndNothingElse(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.spawnErr = syscall.EAGAIN
	reply := w.ask(Reload)
	w.candidateDone()
	if r, ok := answered(reply); !ok || r.Generation != 1 || !strings.Contains(strings.Join(r.Errors, ";"), syscall.EAGAIN.Error()) {
		t.Errorf("result %+v, answered %v", r, ok)
	}
	if n := len(w.children(1)); n != 3 {
		t.Errorf("%d children of generation 1", n)
	}
}

func TestEachDeathIsLoggedAsItDeserves(t *testing.T) {
	for want, status := range map[string]syscall.WaitStatus{
		"level=ERROR exit status 7":                                     exited(ExitSick),
		"level=ERROR exit status 15":                                    exited(ExitFatal),
		"level=ERROR exit status 42":                                    exited(42),
		"level=ERROR ended by SIGBUS":                                   syscall.WaitStatus(syscall.SIGBUS),
		"level=ERROR killed by SIGKILL (by an operator, or for want of": syscall.WaitStatus(syscall.SIGKILL),
		"level=DEBUG exit status 0":                                     0,
	} {
		w := newWorld(t)
		w.start()
		w.exit(w.children(1)[0], status)
		w.settle()
		level, text, _ := strings.Cut(want, " ")
		if w.said(level, text, "slot=0", "generation=1", "children=2", "children_of_all=2") != 1 {
			t.Errorf("no line with %q:\n%s", want, w.log.String())
		}
	}
}

// A child that died may have been woken for a connection that it did not take.
func TestAfterADeathAnotherChildLooksForConnections(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.exit(w.children(1)[0], 0)
	w.settle()
	if n := w.files[0].looks; n != 0 {
		t.Errorf("%d are to look after a child that left in order", n)
	}
	w.exit(w.children(1)[0], syscall.WaitStatus(syscall.SIGKILL))
	w.settle()
	if n := w.files[0].looks; n != 1 {
		t.Errorf("%d are to look after a death, want 1", n)
	}
}

func TestLivesOfChildrenAreInTheDebugLog(t *testing.T) {
	w := newWorld(t)
	w.start()
	for _, text := range []string{
		"level=DEBUG msg=\"child spawned\" slot=2 pid=104 generation=1 children=3 children_of_all=3 bucket=0",
		"level=DEBUG msg=\"child is ready\" slot=0 pid=102 generation=1",
	} {
		if w.said(text) != 1 {
			t.Errorf("no line %s in:\n%s", text, w.log.String())
		}
	}
}

func TestTheLowestFreeSlotIsUsedFirst(t *testing.T) {
	w := newWorld(t)
	w.options.MinSpareServers = 3
	w.start()
	w.exit(w.children(1)[1], syscall.WaitStatus(syscall.SIGSEGV))
	w.settle()
	var slots []int
	for _, c := range w.children(1) {
		slots = append(slots, c.slot)
	}
	if len(slots) != 3 || slots[0] != 0 || slots[1] != 1 || slots[2] != 2 {
		t.Errorf("slots %v, want 0, 1, 2", slots)
	}
}

// Children take three seconds to start, and maintenance looks ten times in one:
// those that start count as idle, or there would be more and more of them.
func TestSlowStartsDoNotRunAway(t *testing.T) {
	w := newWorld(t)
	w.options.MaxRequestWorkers, w.options.ServerLimit = 100, 100
	w.start()
	for _, c := range w.children(1) {
		w.serve(c)
	}
	w.pass(3 * time.Second)
	if n := len(w.children(1)) - 3; n != 3 { // 1 and 2, which is more than min_spare_servers
		t.Errorf("%d children are starting, want 3", n)
	}
}

func TestAnUnknownProcessIsReapedAndIgnored(t *testing.T) {
	w := newWorld(t)
	w.start()
	stranger := w.newProcess()
	w.exit(stranger, exited(3))
	w.settle()
	if len(w.dead) > 0 || len(w.children(1)) != 3 || w.said("level=DEBUG", "unknown process ended", "pid=105") != 1 {
		t.Errorf("%d to be reaped, %d children:\n%s", len(w.dead), len(w.children(1)), w.log.String())
	}
}

// A reload lowers the limit while children in high slots serve; another one
// raises it again. No slot is lost.
func TestLoweringTheLimitLosesNoSlots(t *testing.T) {
	w := newWorld(t)
	w.options.StartServers = 8
	w.start()
	busy := w.children(1)
	for _, c := range busy {
		w.serve(c)
	}
	w.options.MaxRequestWorkers, w.options.StartServers = 2, 2
	w.reloaded(2)
	for _, c := range busy[4:] {
		w.exit(c, 0)
	}
	w.settle()
	if n := w.parent.freeSlots(); n != 12-4-2 {
		t.Errorf("%d slots are free, want 6", n)
	}
	w.options.MaxRequestWorkers, w.options.StartServers = 8, 6
	w.reloaded(3)
	for _, c := range append(busy[:4:4], w.children(2)...) {
		w.exit(c, 0)
	}
	w.pass(time.Second)
	if n := len(w.children(3)); n != 6 || w.parent.freeSlots() != 6 {
		t.Errorf("%d children, %d slots are free", n, w.parent.freeSlots())
	}
}

// A plugin that runs without end, again and again, in young children is no reason to
// be slow with new ones: each has had its time.
func TestOverrunsSlowNothingDown(t *testing.T) {
	w, child := watched(t)
	for number := range uint64(10) {
		w.states[child.slot] = mpm.StateWriting
		w.run(child.slot, scoreboard.Running{Number: 2*number + 1, Budget: 200 * time.Millisecond})
		w.pass(400 * time.Millisecond)
		if !killed(child) {
			t.Fatal("it runs on")
		}
		delete(w.runs, child.slot)
		w.exit(child, syscall.WaitStatus(syscall.SIGKILL))
		w.parent.handle(childrenEnded{}, w.now)
		w.parent.handle(childClosed{child.number}, w.now)
		w.pass(200 * time.Millisecond)
		children := w.children(1)
		if len(children) < 2 {
			t.Fatalf("after %d overruns: %d children are left", number+1, len(children))
		}
		w.ready(children...)
		child = children[len(children)-1] // a young one, but for the first time
	}
	if w.said("children die young or cannot be started; spawning more and more slowly until they live") != 0 {
		t.Errorf("log:\n%s", w.log.String())
	}
}
