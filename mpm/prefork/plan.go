package prefork

import (
	"time"

	"github.com/apphost/apphost/mpm"
)

// Maintenance runs five times a second, and ten times while children are short:
// with the classic second, a burst would wait for up to one until it is seen,
// and for seven more until the doubling has caught up with it.
const (
	maintenanceInterval = 200 * time.Millisecond
	shortageInterval    = 100 * time.Millisecond
	spawnRateMax        = 32
)

// census is what the plan needs to know of a bucket of the serving generation.
type census struct {
	idle      int  // threads ready for a connection, or starting; one a child with prefork
	own       int  // all of the bucket's children, less those in left
	left      int  // its children with threads that only finish what they serve
	total     int  // all of the generation's children, less those in left
	freeSlots int  // slots without a process
	rate      int  // how many were to be spawned in the last cycle; 1 at first
	leaving   bool // an idle child was asked to leave and has not gone yet
}

// decision is what to do about it.
type decision struct {
	spawn  int
	retire bool
	rate   int           // for the next census
	next   time.Duration // until the next one
	// full: children are short and there is no room for more.
	full bool
}

// plan decides how many children to add or take away. It is the classic
// idle-server maintenance: too many idle and one leaves; too few and 1, 2, 4,
// … up to 32 are added in each needy cycle, not bounded by the shortfall,
// because a shortfall seen is one that grows.
func plan(c census, o *mpm.Options) decision {
	calm := decision{rate: 1, next: maintenanceInterval}
	switch {
	case c.idle > o.SpareMax():
		calm.retire = !c.leaving
		return calm
	case c.idle >= o.SpareMin():
		return calm
	}
	spawn := min(c.rate, c.freeSlots, o.ChildrenMax()-c.total)
	if spawn <= 0 {
		calm.full = true
		return calm
	}
	return decision{spawn: spawn, rate: min(c.rate*2, spawnRateMax), next: shortageInterval}
}

// startCount is how many children a new generation starts with: as many as
// configured, but no fewer than the load of the one before it needs, so that
// a reload is not felt. The load is in connections.
func startCount(o *mpm.Options, busyBefore, freeSlots int) int {
	threads := o.Threads()
	need := (busyBefore + o.SpareMin() + threads - 1) / threads
	return min(max(o.StartServers, need), o.ChildrenMax(), freeSlots)
}

// backoff is the pause before the next spawn after so many children in a row
// failed to become ready: none for the first two, then doubling.
func backoff(failures int) time.Duration {
	const base, longest = 100 * time.Millisecond, 10 * time.Second
	if failures <= 2 {
		return 0
	}
	return min(base<<min(failures-3, 10), longest)
}
