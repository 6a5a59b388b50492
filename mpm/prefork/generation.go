package prefork

import (
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/image"
)

// generation is one configuration with the children that run it.
type generation struct {
	number  uint64
	image   *image.Image
	options *mpm.Options
	files   generationFiles
	notes   []string

	children int // live ones
	retired  bool

	// Of the serving generation.
	pools       []pool    // by bucket
	maintenance time.Time // when the next one is due
	failures    int       // children that died young, with no long pause between
	failed      time.Time // the last of them
	notBefore   time.Time // no spawn until then, after failures
	full        bool      // the limit was reported and still stands

	// Of a retired generation.
	deadline time.Time // its children are ended then; zero means never
}

// podPatience is how long to wait for the child that was asked to leave
// before another one is asked.
const podPatience = 5 * time.Second

// Children that die within youth of their spawn, or say themselves that they
// cannot serve, count as failures; calm without one forgets them.
const (
	youth = time.Second
	calm  = 10 * time.Second
)

// reportPatience is how long a dead process's report is waited for. Its pipe
// closes with it, unless it handed the pipe on.
const reportPatience = time.Second

// release gives back what a generation holds, after its last child.
func (g *generation) release() {
	if g.children != 0 {
		panic("BUG: a generation with children was released")
	}
	g.files.release()
	_ = g.image.Close()
}

// child is the master's record of one process.
type child struct {
	slot       int
	bucket     int
	proc       process
	generation *generation

	ready   bool
	ending  bool   // it was sent a signal to end, so its death is no news
	reason  string // why it cannot serve, in its own words
	spawned time.Time
	startBy time.Time // ready until then, or it is ended
	late    bool      // it was overdue once, and ready by its slot
	killAt  time.Time // killed then; zero means never
	closeBy time.Time // given up listening to then, once reaped

	// A child is gone when it was reaped and its report pipe is closed, in
	// either order.
	reaped, closed bool
	status         exitStatus
}

// census counts the children of g, by bucket.
func (p *Parent) census(g *generation, now time.Time) []census {
	cs := make([]census, len(g.pools))
	free := p.freeSlots()
	for b, pool := range g.pools {
		cs[b] = census{rate: max(pool.rate, 1), leaving: now.Before(pool.leaving), total: g.children, freeSlots: free}
	}
	for slot, ch := range p.slots {
		if ch == nil || ch.generation != g {
			continue
		}
		c := &cs[ch.bucket]
		c.own++
		if !ch.reaped && p.idle(slot, ch) {
			c.idle++
		}
	}
	return cs
}

// idle reports whether a child counts as ready for a connection. One that is
// starting does, or too many would be spawned while it does so.
func (p *Parent) idle(slot int, ch *child) bool {
	return !ch.ready || p.sys.slotState(slot) == mpm.StateReady
}

// lives reports whether a child of g that was spawned after the last failure
// has outlived its youth.
func (p *Parent) lives(g *generation, now time.Time) bool {
	for _, ch := range p.slots {
		if ch != nil && ch.generation == g && ch.ready && !ch.reaped &&
			ch.spawned.After(g.failed) && now.Sub(ch.spawned) >= youth {
			return true
		}
	}
	return false
}

func (p *Parent) freeSlot() int {
	for i, ch := range p.slots {
		if ch == nil {
			return i
		}
	}
	return -1
}

func (p *Parent) freeSlots() int {
	n := 0
	for _, ch := range p.slots {
		if ch == nil {
			n++
		}
	}
	return n
}
