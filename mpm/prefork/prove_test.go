package prefork

import (
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
)

// The generation that serves may need more slots while the next one proves
// itself. That one then starts with those that are left.
func TestAReloadGoesOnWithTheSlotsThatAreLeft(t *testing.T) {
	w := newWorld(t)
	w.options.ServerLimit, w.options.StartServers = 9, 6
	w.start()
	reply := w.ask(Reload)
	c := w.candidates[len(w.candidates)-1]
	w.parent.handle(candidateSaid{c.number, sayDone, ""}, w.now)
	w.exit(c, 0)
	w.parent.handle(childrenEnded{}, w.now)
	w.parent.handle(candidateClosed{c.number}, w.now)
	w.parent.judge(w.parent.reload, w.now)
	if want := w.parent.reload.want; want != 3 {
		t.Fatalf("generation 2 is to start with %d children", want)
	}
	for slot := range w.parent.slots {
		w.states[slot] = mpm.StateWriting
	}
	w.parent.maintain(w.parent.serving, w.now.Add(time.Second)) // a burst
	if free := w.parent.freeSlots(); free != 2 {
		t.Fatalf("%d slots are free", free)
	}
	w.settle()
	w.ready(w.children(2)...)
	w.drainIdle(1)
	w.pass(handoverTimeout)
	if r, ok := answered(reply); !ok || len(r.Errors) > 0 || r.Generation != 2 {
		t.Errorf("the reload: %+v, %v", r, ok)
	}
}

// A child that says again and again that it is ready does not keep the master
// busy.
func TestAChildIsReadyOnce(t *testing.T) {
	events := make(chan event)
	l := &linux{events: events}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go l.listenToChild(7, r, new(atomic.Bool))
	next := func() event { return nextEvent(t, events) }
	say := func() {
		if _, err := w.Write([]byte{reportReady}); err != nil {
			t.Fatal(err)
		}
	}
	say()
	if ev := next(); ev != (childSaid{pid: 7, ready: true}) {
		t.Fatalf("event %+v", ev)
	}
	say() // once more
	_ = w.Close()
	if ev := next(); ev != (childClosed{7}) {
		t.Errorf("a child that repeats itself: event %+v", ev)
	}
}

// The bell is heard each time that it was asked for, and now and then beyond, for
// the master before an upgrade may have asked; a child that rings without end is
// not listened to any longer.
func TestTheBellIsHeardButNotWithoutEnd(t *testing.T) {
	events := make(chan event, 2*reportBytesMax)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	asked := new(atomic.Bool)
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&linux{events: events}).listenToChild(7, r, asked)
	}()
	next := func() event { return nextEvent(t, events) }
	for i := range 2 * reportBytesMax {
		asked.Store(i != 5)
		if _, err := w.Write([]byte{reportRuns}); err != nil {
			t.Fatalf("ring %d: %v", i, err)
		}
		if ev := next(); ev != (childRuns{}) || asked.Load() {
			t.Fatalf("ring %d: event %+v, asked %v", i, ev, asked.Load())
		}
	}
	go func() { // until nobody reads
		for {
			if _, err := w.Write([]byte{reportRuns}); err != nil {
				_ = w.Close()
				return
			}
		}
	}()
	rings := 0
	for ; next() == (childRuns{}); rings++ {
	}
	if <-done; rings > reportBytesMax {
		t.Errorf("%d rings that nobody asked for were heard", rings)
	}
}

// nextEvent waits for an event of a child.
func nextEvent(t *testing.T, events <-chan event) event {
	t.Helper()
	select {
	case ev := <-events:
		return ev
	case <-time.After(10 * time.Second):
		t.Fatal("no event")
		return nil
	}
}
