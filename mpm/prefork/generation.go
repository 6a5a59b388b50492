package prefork

import (
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/image"
)

// blueprint is what a generation is made from. The generations that run it and
// the probation that may go back to it share it.
type blueprint struct {
	image   *image.Image
	options *mpm.Options
	notes   []string
	users   int
}

func (b *blueprint) hold() *blueprint {
	b.users++
	return b
}

// letGo closes the image after its last user.
func (b *blueprint) letGo() {
	b.users--
	switch {
	case b.users < 0:
		panic("BUG: an image was released twice")
	case b.users == 0:
		_ = b.image.Close()
	}
}

// generation is one configuration with the children that run it.
type generation struct {
	*blueprint
	number uint64
	files  generationFiles

	children int // live ones
	served   bool
	retired  bool
	adopted  bool // from another program; see takeover.go
	foreign  bool // and made by another build

	// Of the serving generation.
	pools       []pool    // by bucket
	maintenance time.Time // when the next one is due
	failures    int       // children that died young, with no long pause between
	failed      time.Time // the last of them
	notBefore   time.Time // no spawn until then, after failures
	full        bool      // children are short, and no more may be started
	slowed      bool      // it was told that children die young
	spawnFault  string    // why no child could be started, as it was told
	codes       []codeRecord

	// Of a retired generation.
	retiredAt time.Time
	deadline  time.Time // its children are ended then; zero means never
	ended     bool      // they are
}

// podPatience is how long to wait for the child that was asked to leave
// before another one is asked.
const podPatience = 5 * time.Second

// Children that die within youth of their spawn and before they have served
// anyone, or say themselves that they cannot serve, count as failures; calm
// without one forgets them, and so does a child that proves itself.
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
	g.letGo()
	if hook := p.cfg.Hooks.EndGeneration; hook != nil {
		hook(g.number)
	}
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

	watches []watch // by thread
	overran bool    // it was killed for what it ran

	failures   uint32   // Slot.Failures, as it was last
	failuresOf []uint64 // by code, as far as taken in

	// A child is gone when it was reaped and its report pipe is closed, in
	// either order.
	reaped, closed bool
	status         exitStatus
}

// totals are for the log: how many children g has, and how many there are.
func (p *Parent) totals(g *generation) []any {
	return []any{"generation", g.number, "children", g.children, "children_of_all", len(p.byPID)}
}

// census counts the children of g, by bucket.
func (p *Parent) census(g *generation, now time.Time) []census {
	cs := make([]census, len(g.pools))
	free, left := p.freeSlots(), 0
	for b, pool := range g.pools {
		cs[b] = census{rate: max(pool.rate, 1), leaving: now.Before(pool.leaving), total: g.children, freeSlots: free}
	}
	for slot, ch := range p.slots {
		if ch == nil || ch.generation != g {
			continue
		}
		c := &cs[ch.bucket]
		if p.leaving(slot, ch) {
			c.left++
			left++
		} else {
			c.own++
		}
		if !ch.reaped {
			c.idle += p.idle(slot, ch)
		}
	}
	for b := range cs {
		cs[b].total -= left
	}
	return cs
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

// lives reports whether a child of g has proved itself since the last failure,
// or is so young that it must have been about then.
func (p *Parent) lives(g *generation, now time.Time) bool {
	for _, ch := range p.slots {
		if ch != nil && ch.generation == g && !ch.reaped && p.proved(ch, now) && (young(ch, now) || ch.spawned.After(g.failed)) {
			return true
		}
	}
	return false
}

// proved reports whether a child has shown that its like can live: it has
// outlived its youth, or served a connection or a request to the end, or was killed
// for what a plugin did. What it has served is its own word; a lie makes it replaced
// sooner, nothing else.
func (p *Parent) proved(ch *child, now time.Time) bool {
	return ch.ready && (ch.overran || p.sys.slotServed(ch.slot) > 0 || !young(ch, now))
}

func young(ch *child, now time.Time) bool { return now.Sub(ch.spawned) < youth }

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
