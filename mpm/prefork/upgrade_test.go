package prefork

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
)

// upgrade asks for another binary.
func (w *world) upgrade(path string) <-chan Result {
	reply := make(chan Result, 1)
	w.parent.handle(upgradeRequested{path, reply}, w.now)
	w.settle()
	return reply
}

// kill ends n children of a generation.
func (w *world) kill(gen uint64, n int) {
	for _, p := range w.children(gen)[:n] {
		w.exit(p, syscall.WaitStatus(syscall.SIGKILL))
	}
}

// The new binary is tried, children that start are waited for, nobody is
// spawned meanwhile, and then it departs.
func TestAnUpgradeWaitsForStartingChildren(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.kill(1, 2)
	w.settle() // and others start
	starting := len(w.children(1)) - 1
	reply := w.upgrade("/new")
	if !slices.Equal(w.successors, []string{"/new"}) || w.handed.Number != 1 || len(w.handed.Children) != 1+starting {
		t.Fatalf("tried %v with %+v", w.successors, w.handed)
	}
	if state := w.parent.snapshot(w.now).State; state != "upgrading" {
		t.Errorf("state %q", state)
	}
	w.candidateDone()
	if starting == 0 || w.parent.departure == nil || w.parent.departs() {
		t.Fatalf("%d children start; departure %+v", starting, w.parent.departure)
	}
	allBusy := func() { // so that more are wanted
		for slot := range w.parent.slots {
			w.states[slot] = mpm.StateWriting
		}
	}
	allBusy()
	before := w.nextPID
	w.pass(2 * time.Second)
	if w.nextPID != before {
		t.Error("a child was spawned before another program takes over")
	}
	w.ready(w.children(1)...)
	if !w.parent.departs() {
		t.Error("it does not depart when all are ready")
	}
	if _, ok := answered(reply); ok {
		t.Error("the upgrade is answered by the program that leaves")
	}
	w.parent.stay(errors.New("cannot execute"), w.now)
	w.settle()
	if r, ok := answered(reply); !ok || !slices.Equal(r.Errors, []string{"cannot execute"}) || r.Generation != 1 {
		t.Errorf("after a failed departure: %+v, %v", r, ok)
	}
	allBusy()
	w.pass(2 * time.Second)
	if w.nextPID == before {
		t.Error("no child is spawned after a failed departure")
	}
}

// A child that never gets ready does not hold up an upgrade for ever.
func TestAnUpgradeWaitsOnlySoLong(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.kill(1, 2)
	w.settle()
	w.upgrade("/new")
	w.candidateDone()
	w.pass(settlePatience)
	if !w.parent.departs() {
		t.Error("it waits on")
	}
}

func TestABadUpgradeChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.start()
	reply := w.upgrade("/new")
	second := w.upgrade("/other")
	if r, ok := answered(second); !ok || len(r.Errors) != 1 || !strings.Contains(r.Errors[0], "under way") {
		t.Errorf("a second upgrade at once: %+v, %v", r, ok)
	}
	c := w.candidates[len(w.candidates)-1]
	w.parent.handle(candidateSaid{c.number, sayError, "no good"}, w.now)
	w.exit(c, 1<<8)
	w.settle()
	if r, ok := answered(reply); !ok || !slices.Equal(r.Errors, []string{"no good"}) {
		t.Errorf("a bad upgrade: %+v, %v", r, ok)
	}
	w.upgradeErr = errFake
	if r, ok := answered(w.upgrade("/none")); !ok || len(r.Errors) != 1 {
		t.Errorf("an upgrade that does not start: %+v, %v", r, ok)
	}
	w.upgradeErr = nil
	reload := w.ask(Reload)
	w.candidateDone()
	w.ready(w.children(2)...)
	w.drainIdle(1)
	if r, ok := answered(reload); !ok || r.Generation != 2 {
		t.Errorf("the reload afterwards: %+v, %v", r, ok)
	}
}

func TestAStopCallsOffAnUpgrade(t *testing.T) {
	w := newWorld(t)
	w.start()
	reply := w.upgrade("/new")
	w.candidateDone()
	if !w.parent.departs() {
		t.Fatal("it does not depart")
	}
	w.ask(Stop)
	if r, ok := answered(reply); !ok || len(r.Errors) == 0 || w.parent.departs() {
		t.Errorf("after the stop: %+v, %v, departs %v", r, ok, w.parent.departs())
	}
	w.pass(time.Second)
	if !w.parent.done(w.now) {
		t.Error("the stop does not end")
	}
}

// next is the world after another program has taken over from that of w, or is
// given back what it had handed over.
func (w *world) next(t *testing.T, foreign bool) *world {
	t.Helper()
	raw := encodeState(t, w.parent.export(w.now))
	st, err := decodeState(raw)
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	n := newWorld(t)
	n.now, n.nextPID, n.procs, n.states, n.files, n.failed = w.now, w.nextPID, w.procs, w.states, w.files, w.failed
	for _, p := range n.procs {
		p.w = n
	}
	a := adopted{generations: map[uint64]adoptedGeneration{}, children: map[int]process{}}
	for _, g := range st.Generations {
		a.generations[g.Number] = adoptedGeneration{files: w.files[g.Number-1], foreign: foreign, image: w.parent.serving.image}
	}
	for _, ch := range st.Children {
		a.children[ch.Slot] = w.procs[ch.PID]
	}
	n.parent.adopt(st, a, n.now)
	return n
}

// The program that took over watches the children it was handed, spawns none
// for them, and its upgrade ends with a reload.
func TestASuccessorAdoptsAndReloads(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.upgrade("/new")
	w.candidateDone()
	n := w.next(t, true)
	reply := make(chan Result, 1)
	n.parent.handle(upgradeAwaited{reply}, n.now)
	n.kill(1, 2)
	before := n.nextPID
	n.pass(3 * time.Second)
	if n.nextPID != before || len(n.children(1)) != 1 {
		t.Errorf("%d children were spawned for another build's generation, which has %d", n.nextPID-before, len(n.children(1)))
	}
	n.candidateDone()
	n.ready(n.children(2)...)
	if !w.files[0].retired {
		t.Error("the old generation is not retired")
	}
	n.drainIdle(1)
	if r, ok := answered(reply); !ok || len(r.Errors) > 0 || r.Generation != 2 {
		t.Errorf("the upgrade: %+v, %v", r, ok)
	}
	if s := n.parent.snapshot(n.now); s.State != "serving" || s.Upgraded == nil || !s.Started.Equal(w.parent.started) {
		t.Errorf("afterwards: %+v", s)
	}
	late := make(chan Result, 1)
	n.parent.handle(upgradeAwaited{late}, n.now)
	if r, ok := answered(late); !ok || r.Generation != 2 {
		t.Errorf("who asks late: %+v, %v", r, ok)
	}
}

// When its reload fails the successor goes back, without the children it made
// and with those it was handed; and the old program serves on as if nothing
// had happened.
func TestASuccessorThatFailsGoesBack(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.upgrade("/new")
	w.candidateDone()
	n := w.next(t, true)
	n.candidateDone()
	fresh := n.children(2)
	n.exit(fresh[0], 1<<8)
	n.settle()
	n.pass(100 * time.Millisecond)
	for _, p := range fresh[1:] {
		if !p.dead {
			t.Errorf("child %d of the new program lives", p.number)
		}
	}
	if !n.parent.departs() || len(n.children(1)) != 3 {
		t.Fatalf("departs %v, with %d children", n.parent.departs(), len(n.children(1)))
	}
	back := n.next(t, false)
	reply := make(chan Result, 1)
	back.parent.handle(upgradeAwaited{reply}, back.now)
	if r, ok := answered(reply); !ok || len(r.Errors) != 1 || r.Generation != 1 || !strings.Contains(r.Errors[0], "exit status 1") {
		t.Errorf("the upgrade: %+v, %v", r, ok)
	}
	back.kill(1, 2)
	back.pass(time.Second)
	if len(back.children(1)) != 2 {
		t.Errorf("%d children after deaths", len(back.children(1)))
	}
	if s := back.parent.snapshot(back.now); s.State != "serving" || s.Upgraded != nil {
		t.Errorf("afterwards: %+v", s)
	}
}

// When even the way back is closed, what is there is served to its end.
func TestASuccessorWithNoWayBackStopsGracefully(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.upgrade("/new")
	w.candidateDone()
	n := w.next(t, true)
	n.exit(n.candidates[0], 1<<8)
	n.settle()
	if !n.parent.departs() {
		t.Fatal("it does not go back")
	}
	n.parent.stay(errFake, n.now)
	n.settle()
	if n.parent.winding == nil || n.parent.departs() {
		t.Error("it does not stop gracefully")
	}
}

// A generation that did not prove itself gives way before an upgrade, which
// would take it over as one like any other.
func TestARollBackComesBeforeAnUpgrade(t *testing.T) {
	w := onProbation(t)
	for range 3 {
		w.exit(w.children(2)[0], exited(2))
		w.parent.handle(childrenEnded{}, w.now)
		for pid := range w.procs {
			w.parent.handle(childClosed{pid}, w.now)
		}
	}
	if !w.parent.condemned() {
		t.Fatal("the generation is not condemned")
	}
	reply := w.upgrade("/new")
	if len(w.successors) > 0 || len(w.files) != 3 {
		t.Fatalf("%v is tried while generation 2 serves", w.successors)
	}
	w.ready(w.children(3)...)
	w.drainIdle(2)
	if !slices.Equal(w.successors, []string{"/new"}) || w.handed.Generations[len(w.handed.Generations)-1].Number != 3 {
		t.Errorf("after the roll back %v is tried with %+v", w.successors, w.handed)
	}
	if r, ok := answered(reply); ok {
		t.Errorf("the upgrade was answered: %+v", r)
	}
}

// What the master writes to a pod is between it and children of its own build.
func TestAnotherBuildsChildrenAreToldNothingNew(t *testing.T) {
	for _, foreign := range []bool{false, true} {
		w := newWorld(t)
		w.start()
		w.upgrade("/new")
		w.candidateDone()
		n := w.next(t, foreign)
		n.kill(1, 1)
		n.settle()
		if looks := n.files[0].looks; looks > 0 == foreign {
			t.Errorf("foreign %v: children were told %d times to look", foreign, looks)
		}
	}
}
