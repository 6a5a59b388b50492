package prefork

import (
	"cmp"
	"slices"
	"time"

	"github.com/apphost/apphost/mpm"
)

// The children of a generation belong to buckets, of which each has its own
// socket of every TCP listener and its own pod. To a client that waits in one
// bucket the children of another are of no use: each bucket has its own idle
// children, and together they share what there is room for. Which bucket a
// child belongs to is the master's own note; a child is told only what to
// watch.

// pool is the state of a bucket's maintenance.
type pool struct {
	rate    int       // of the last maintenance cycle
	leaving time.Time // an idle child was asked to leave; until then no other is
}

// singly makes every bucket begin with single spawns again.
func (g *generation) singly() {
	for b := range g.pools {
		g.pools[b].rate = 1
	}
}

// deal is a decision on all buckets of a generation.
type deal struct {
	spawn  []int // the bucket of each new child, first the one in most need
	retire int   // the bucket in which an idle child is to leave; -1 is none
	next   time.Duration
	full   bool // a bucket is short of children, and there is no room for more
}

// planAll decides for all buckets, at most so many new children. Each is
// planned as if it were alone, with its share of the spare children. If that is
// more than there is room for, one after the other goes to the bucket with the
// fewest idle children, and among those to the one with the fewest at all: so
// no bucket is without children while there is room. If several have too many
// idle, one leaves where there are most.
func planAll(cs []census, most int, o *mpm.Options) (deal, []decision) {
	share := o.Share()
	all := deal{retire: -1, next: maintenanceInterval}
	each := make([]decision, len(cs))
	wanted := 0
	for b, c := range cs {
		d := plan(c, &share)
		each[b] = d
		wanted += d.spawn
		all.next = min(all.next, d.next)
		all.full = all.full || d.full
		if d.retire && (all.retire < 0 || c.idle > cs[all.retire].idle) {
			all.retire = b
		}
		most = min(most, c.freeSlots, o.ChildrenMax()-c.total)
	}
	after := slices.Clone(cs)
	for range min(wanted, most) {
		b := neediest(after, func(b int) bool { return after[b].own-cs[b].own < each[b].spawn })
		all.spawn = append(all.spawn, b)
		after[b].idle += o.Threads()
		after[b].own++
	}
	return all, each
}

// neediest is the bucket that needs a child most, among those that may have
// one.
func neediest(cs []census, may func(bucket int) bool) int {
	best := -1
	for b, c := range cs {
		if !may(b) {
			continue
		}
		if best < 0 || cmp.Or(cmp.Compare(c.idle, cs[best].idle), cmp.Compare(c.own, cs[best].own), cmp.Compare(c.left, cs[best].left)) < 0 {
			best = b
		}
	}
	return best
}

// smallest is the bucket of g with the fewest children, which gets the next one
// while g proves itself.
func (p *Parent) smallest(g *generation) int {
	own := make([]int, len(g.pools))
	for _, ch := range p.slots {
		if ch != nil && ch.generation == g {
			own[ch.bucket]++
		}
	}
	return slices.Index(own, slices.Min(own))
}
