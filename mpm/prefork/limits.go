package prefork

import (
	"time"

	"github.com/apphost/apphost/mpm"
)

// limit is what stands in the way of children that are needed.
type limit int

const (
	limitNone    limit = iota
	limitNear          // fewer than min_spare_servers are idle, and no more may be started
	limitReached       // none is idle, and no more may be started
	limitSlots         // more might be started, but older generations have the slots
	limitKinds
)

// limitQuiet is how long the log says nothing more of a limit that was told.
// The counters go on.
const limitQuiet = time.Minute

// limits are the limits that the master ran into. They outlive generations: a
// reload is no reason to say everything again.
type limits struct {
	met    [limitKinds]bool // in this shortage
	counts [limitKinds]uint64
	told   [limitKinds]time.Time
}

// limitOf says which limit a decision ran into.
func limitOf(buckets []census, full bool, o *mpm.Options) limit {
	idle, total := 0, 0
	for _, c := range buckets {
		idle, total = idle+c.idle, c.total // which is the generation's
	}
	switch {
	case !full:
		return limitNone
	case total < o.ChildrenMax():
		return limitSlots
	case idle > 0:
		return limitNear
	default:
		return limitReached
	}
}

// noteLimit counts a limit once in each shortage, and logs it now and then.
func (p *Parent) noteLimit(g *generation, met limit, now time.Time) {
	l, o := &p.limits, g.options
	g.full = met != limitNone
	if met == limitNone {
		l.met = [limitKinds]bool{}
		return
	}
	if l.met[met] {
		return
	}
	l.met[met] = true
	l.counts[met]++
	if told := l.told[met]; !told.IsZero() && now.Sub(told) < limitQuiet {
		return
	}
	l.told[met] = now
	args := []any{"max_request_workers", o.MaxRequestWorkers, "server_limit", o.ServerLimit, "times", l.counts[met]}
	switch met {
	case limitNear:
		p.log.Warn("nearly every child is busy and no more may be started; consider raising mpm.max_request_workers (and mpm.server_limit)", args...)
	case limitReached:
		p.log.Warn("every child is busy and no more may be started; raise mpm.max_request_workers (and mpm.server_limit) if the machine can bear it", args...)
	case limitSlots:
		p.log.Warn("every slot is taken, by children of older generations too; raise mpm.server_limit, or let them end sooner by mpm.graceful_restart_timeout or mpm.max_old_generations", args...)
	}
}

func (l *limits) adopt(s LimitStatus) {
	l.counts[limitNear], l.counts[limitReached], l.counts[limitSlots] = s.Near, s.Reached, s.SlotsFull
}

func (l *limits) status() LimitStatus {
	return LimitStatus{Near: l.counts[limitNear], Reached: l.counts[limitReached], SlotsFull: l.counts[limitSlots]}
}
