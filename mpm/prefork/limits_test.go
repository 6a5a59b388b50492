package prefork

import (
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
)

func TestLimitsAreToldApart(t *testing.T) {
	o := &mpm.Options{MinSpareServers: 5, MaxSpareServers: 10, MaxRequestWorkers: 20, ServerLimit: 30}
	for name, tc := range map[string]struct {
		c    census
		want limit
	}{
		"enough are idle":                        {census{idle: 5, total: 20}, limitNone},
		"there is room for more":                 {census{idle: 0, total: 10, freeSlots: 1, rate: 1}, limitNone},
		"some are idle, and no more may be":      {census{idle: 4, total: 20, freeSlots: 10, rate: 1}, limitNear},
		"none is idle, and no more may be":       {census{idle: 0, total: 20, freeSlots: 10, rate: 1}, limitReached},
		"older generations have the other slots": {census{idle: 0, total: 12, freeSlots: 0, rate: 1}, limitSlots},
	} {
		if got := limitOf([]census{tc.c}, plan(tc.c, o).full, o); got != tc.want {
			t.Errorf("%s: limit %d, want %d", name, got, tc.want)
		}
	}
}

// allBusy lets every child of generation 1 serve, those to come, too.
func (w *world) allBusy(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); w.pass(200 * time.Millisecond) {
		for _, c := range w.children(1) {
			w.ready(c)
			w.serve(c)
		}
	}
}

func TestALimitIsToldNowAndThenAndCountedAlways(t *testing.T) {
	w := newWorld(t)
	w.start()
	const shortages = 8 // within a minute
	for range shortages {
		w.allBusy(4 * time.Second)
		for _, c := range w.children(1)[2:] {
			w.ready(c)
		}
		w.pass(1500 * time.Millisecond)
	}
	if n := w.said("level=WARN", `msg="every child is busy`, "max_request_workers=8", "server_limit=12"); n != 1 {
		t.Errorf("told %d times in a minute:\n%s", n, w.log.String())
	}
	if l := w.look().Limits; l.Reached != shortages || l.SlotsFull != 0 {
		t.Errorf("counted as %+v, want %d", l, shortages)
	}
	if s := w.look().Spawning; s.Full {
		t.Errorf("status after the shortage: %+v", s)
	}
	w.pass(limitQuiet)
	w.allBusy(4 * time.Second)
	if n := w.said("level=WARN", `msg="every child is busy`); n != 2 || !w.look().Spawning.Full {
		t.Errorf("told %d times after a minute more; status %+v", n, w.look().Spawning)
	}
}

// One shortage, in which a child is idle now and then, is one.
func TestAShortageIsCountedOnce(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.allBusy(4 * time.Second)
	for range 5 {
		w.ready(w.children(1)[0])
		w.pass(1100 * time.Millisecond)
		w.serve(w.children(1)[0])
		w.pass(1100 * time.Millisecond)
	}
	if l := w.look().Limits; l.Reached != 1 || l.Near != 1 {
		t.Errorf("counted as %+v, want one of each", l)
	}
}
