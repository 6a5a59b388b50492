package prefork

import (
	"testing"
	"time"
)

func TestNothingIsPublishedUnlessSomeoneWishesForIt(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pass(5 * time.Second)
	if n := len(w.published); n != 0 {
		t.Errorf("%d snapshots, and nobody asked", n)
	}
	w.parent.handle(wished{}, w.now)
	w.settle()
	w.pass(5 * time.Second)
	if n := len(w.published); n != 1 {
		t.Fatalf("one wish, %d snapshots", n)
	}
	if s := w.published[0]; s.Scoreboard != "___....." {
		t.Errorf("published: %+v", s)
	}
}

// However often children wish, a publication is followed by a pause, the longer
// the more work it was.
func TestWishesAreGrantedAtAPace(t *testing.T) {
	for _, tc := range []struct {
		cost        time.Duration
		least, most int
	}{{0, 90, 101}, {50 * time.Millisecond, 9, 11}} {
		w := newWorld(t)
		w.start()
		w.publishCost = tc.cost
		for end := w.now.Add(10 * time.Second); w.now.Before(end); {
			w.parent.handle(wished{}, w.now)
			next := w.parent.advance(w.now)
			if next.IsZero() {
				t.Fatal("the wish is forgotten")
			}
			w.now = w.now.Add(10 * time.Millisecond)
		}
		if n := len(w.published); n < tc.least || n > tc.most {
			t.Errorf("%d snapshots in 10 s at %s each, want %d to %d", n, tc.cost, tc.least, tc.most)
		}
	}
}
