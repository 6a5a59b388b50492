package prefork

import (
	"cmp"
	"syscall"
	"time"
)

// Code that does not come back cannot be interrupted from within its process, so
// the master ends the process. It looks at what each thread says that it runs, and
// for how long it may. A child that lies can only end itself sooner or, if its code
// has taken it over, live on; see W9.

// idleWatchInterval is how often it looks while it has seen no code run, and
// watchInterval how often while it has: what overruns is found the sum of both
// later at most, which is to be 100 ms. Looking is most of what the master costs
// at rest.
const (
	idleWatchInterval = 75 * time.Millisecond
	watchInterval     = 25 * time.Millisecond
	watchPauseMax     = 100 * time.Millisecond // what is counted of a longer time between two looks
)

// watch is what the master saw of a thread the last time.
type watch struct {
	number uint64        // of the run
	ran    time.Duration // how long it has gone on, as far as the master was awake to see it
}

// watchAll looks at all children of generations that ask for it.
func (p *Parent) watchAll(now time.Time, next *wakeUp) {
	if !p.watching() {
		p.watched = time.Time{}
		return
	}
	interval := idleWatchInterval
	if p.running {
		interval = watchInterval
	}
	if due := p.watched.Add(interval); now.Before(due) {
		next.at(due)
		return
	}
	// After a pause of the master nobody is blamed for what it did not see: the
	// children may have been stopped as well.
	passed := min(now.Sub(p.watched), watchPauseMax)
	p.watched, p.running = now, false
	for _, ch := range p.slots {
		if ch != nil && ch.ready && !ch.reaped && !ch.overran && ch.generation.options.Watch {
			p.running = p.watchChild(ch, passed, now) || p.running
		}
	}
	if p.running {
		next.at(now.Add(watchInterval))
	} else {
		next.at(now.Add(idleWatchInterval))
	}
}

// watching reports whether any child is to be watched.
func (p *Parent) watching() bool {
	if p.serving != nil && p.serving.options.Watch {
		return true
	}
	for _, g := range p.retired {
		if g.options.Watch && g.children > 0 {
			return true
		}
	}
	return false
}

// watchChild ends a child one of whose threads overruns, and reports whether any
// runs code.
func (p *Parent) watchChild(ch *child, passed time.Duration, now time.Time) (running bool) {
	if _, busy := p.sys.slotThreads(ch.slot); busy == 0 {
		ch.watches = ch.watches[:0]
		return false
	}
	runs := p.sys.slotRuns(ch.slot)
	if len(ch.watches) != len(runs) {
		ch.watches = make([]watch, len(runs))
	}
	for i, r := range runs {
		w := &ch.watches[i]
		running = running || r.Number != 0
		if r.Number == 0 || r.Number != w.number {
			*w = watch{number: r.Number}
			continue
		}
		w.ran += passed
		if r.Budget > 0 && w.ran >= r.Budget && !ch.overran {
			p.overrun(ch, i, r.Budget, now)
		}
	}
	return running
}

// overrun kills a child and says for what.
func (p *Parent) overrun(ch *child, thread int, budget time.Duration, now time.Time) {
	ch.overran = true
	p.overruns++
	args := []any{"slot", ch.slot, "pid", ch.proc.pid(), "generation", ch.generation.number, "cpu_timeout", budget.String()}
	if reports := p.sys.slotReport(ch.slot); thread < len(reports) {
		r := &reports[thread]
		args = append(args, "plugin", r.Code, "client", r.Client, "listener", r.Listener)
		if r.Request != "" {
			args = append(args, "request", r.Request)
		}
		args = append(args, "last_host_call", cmp.Or(r.Call, "none"))
	}
	if _, busy := p.sys.slotThreads(ch.slot); busy > 1 {
		args = append(args, "other_connections", busy-1)
	}
	p.log.Error("a plugin runs without end; killing its child", args...)
	p.end(ch, syscall.SIGKILL, now)
}
