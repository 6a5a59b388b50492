package prefork

import (
	"syscall"
	"time"
)

// Code that does not come back cannot be interrupted from within its process, so
// the master ends the process. It looks at what each thread says that it runs, and
// for how long it may. A child that lies can only end itself sooner or, if its code
// has taken it over, live on; see W9.

// watchInterval is how often it looks: what overruns is found that much later at
// most.
const watchInterval = 50 * time.Millisecond

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
	if due := p.watched.Add(watchInterval); now.Before(due) {
		next.at(due)
		return
	}
	// After a pause of the master nobody is blamed for what it did not see: the
	// children may have been stopped as well.
	passed := min(now.Sub(p.watched), 2*watchInterval)
	p.watched = now
	next.at(now.Add(watchInterval))
	for _, ch := range p.slots {
		if ch != nil && ch.ready && !ch.reaped && !ch.overran && ch.generation.options.Watch {
			p.watchChild(ch, passed, now)
		}
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

// watchChild ends a child one of whose threads overruns.
func (p *Parent) watchChild(ch *child, passed time.Duration, now time.Time) {
	if _, busy := p.sys.slotThreads(ch.slot); busy == 0 {
		ch.watches = ch.watches[:0]
		return
	}
	runs := p.sys.slotRuns(ch.slot)
	if len(ch.watches) != len(runs) {
		ch.watches = make([]watch, len(runs))
	}
	for i, r := range runs {
		w := &ch.watches[i]
		if r.Number == 0 || r.Number != w.number {
			*w = watch{number: r.Number}
			continue
		}
		w.ran += passed
		if r.Budget > 0 && w.ran >= r.Budget && !ch.overran {
			p.overrun(ch, i, r.Budget, now)
		}
	}
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
	}
	if _, busy := p.sys.slotThreads(ch.slot); busy > 1 {
		args = append(args, "other_connections", busy-1)
	}
	p.log.Error("a plugin runs without end; killing its child", args...)
	p.end(ch, syscall.SIGKILL, now)
}
