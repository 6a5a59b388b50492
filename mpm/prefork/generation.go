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
	rate        int       // of the last maintenance cycle
	maintenance time.Time // when the next one is due
	failures    int       // children that died young, with no long pause between
	failed      time.Time // the last of them
	notBefore   time.Time // no spawn until then, after failures
	leaving     time.Time // an idle child was asked to leave; until then no other is
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

// endGeneration gives back what a generation holds, after its last child.
func (p *Parent) endGeneration(g *generation) {
	if g.children != 0 {
		panic("BUG: a generation with children was released")
	}
	g.files.release()
	_ = g.image.Close()
	if hook := p.cfg.Hooks.EndGeneration; hook != nil {
		hook(g.number)
	}
}

// child is the master's record of one process.
type child struct {
	slot       int
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

// census counts the children of g.
func (p *Parent) census(g *generation, now time.Time) census {
	c := census{rate: max(g.rate, 1), leaving: now.Before(g.leaving)}
	for slot, ch := range p.slots {
		switch {
		case ch == nil:
			c.freeSlots++
		case ch.generation != g:
		default:
			if !p.leaving(slot, ch) {
				c.total++
			}
			if !ch.reaped {
				c.idle += p.idle(slot, ch)
			}
		}
	}
	return c
}

// leaving reports whether a child finishes what it serves and takes no further
// connection. One with many threads may take long, and would keep its place
// from one that serves; server_limit bounds both.
func (p *Parent) leaving(slot int, ch *child) bool {
	return ch.generation.options.Model.Threaded() && ch.ready && p.sys.slotState(slot) == mpm.StateGraceful
}

// idle is how many threads of a child count as ready for a connection. Those of
// one that is starting do, or too many would be spawned while it does so.
func (p *Parent) idle(slot int, ch *child) int {
	if !ch.ready {
		return ch.generation.options.Threads()
	}
	ready, _ := p.sys.slotThreads(slot)
	return ready
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

// busy counts the connections that children of g serve.
func (p *Parent) busy(g *generation) int {
	n := 0
	for slot, ch := range p.slots {
		if ch != nil && ch.generation == g && ch.ready {
			_, busy := p.sys.slotThreads(slot)
			n += busy
		}
	}
	return n
}

// busyThreads counts the connections that children of all generations serve.
func (p *Parent) busyThreads() int {
	n := 0
	for slot, ch := range p.slots {
		if ch != nil && ch.ready {
			_, busy := p.sys.slotThreads(slot)
			n += busy
		}
	}
	return n
}
