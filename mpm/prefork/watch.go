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

// watchInterval is how often it looks while code runs: what overruns is seen for
// the first time up to one interval after it began, and found up to one after its
// time, both within 100 ms. At rest it does not look at all: it has asked the
// children to ring the bell first.
const (
	watchInterval = 40 * time.Millisecond
	watchPauseMax = 100 * time.Millisecond // what is counted of a longer time between two looks
)

// watchdog is what the master knows of code that runs in its children.
type watchdog struct {
	alert   bool      // it looks each watchInterval
	watched time.Time // when it last did, or was alarmed
}

// alarm begins to look: a child runs code, or has become ready to.
func (d *watchdog) alarm(now time.Time) {
	if !d.alert {
		d.alert, d.watched = true, now
	}
}

// watch is what the master saw of a thread the last time.
type watch struct {
	number uint64        // of the run
	ran    time.Duration // how long it has gone on, as far as the master was awake to see it
	cpu    time.Duration // of the process, when it was seen first
}

// watchAll looks at all children of generations that ask for it, if it is time.
func (p *Parent) watchAll(now time.Time, next *wakeUp) {
	if !p.alert {
		return
	}
	if due := p.watched.Add(watchInterval); now.Before(due) {
		next.at(due)
		return
	}
	// After a pause of the master nobody is blamed for what it did not see: the
	// children may have been stopped as well.
	passed := min(now.Sub(p.watched), watchPauseMax)
	p.watched = now
	p.alert = p.lookAround(passed, now)
	if !p.alert {
		for _, ch := range p.slots {
			if p.watches(ch) {
				p.sys.awaitRun(ch.slot)
			}
		}
		p.alert = p.lookAround(0, now) // who began before he was asked
	}
	if p.alert {
		next.at(now.Add(watchInterval))
	}
}

// lookAround reports whether any child runs code.
func (p *Parent) lookAround(passed time.Duration, now time.Time) (running bool) {
	for _, ch := range p.slots {
		if p.watches(ch) {
			running = p.watchChild(ch, passed, now) || running
		}
	}
	return running
}

// watches reports whether a child is to be watched.
func (p *Parent) watches(ch *child) bool {
	return ch != nil && ch.ready && !ch.reaped && !ch.overran && ch.generation.options.Watch
}

// watchChild ends a child one of whose threads overruns, and reports whether any
// runs code. Time counts in which the child had a processor too: who waits for one
// on a machine that has too much to do is not to blame. (Of many threads it is that
// of all, so both have to be over.)
func (p *Parent) watchChild(ch *child, passed time.Duration, now time.Time) (running bool) {
	if _, busy := p.sys.slotThreads(ch.slot); busy == 0 {
		clear(ch.watches)
		return false
	}
	runs := p.sys.slotRuns(ch.slot)
	cpu, known := p.sys.ran(ch.proc.pid())
	if len(ch.watches) != len(runs) {
		ch.watches = make([]watch, len(runs)) // of another number of threads, or the first time
	}
	for i, r := range runs {
		w := &ch.watches[i]
		running = running || r.Number != 0
		w.ran += passed
		if r.Number == 0 { // it waits; if for nothing, the same run goes on
			continue
		}
		if r.Number != w.number {
			*w = watch{number: r.Number, cpu: cpu}
			continue
		}
		if r.Budget > 0 && w.ran >= r.Budget && (!known || cpu-w.cpu >= r.Budget-watchInterval) && !ch.overran {
			p.overrun(ch, i, r.Budget, now)
		}
	}
	return running
}

// overrun kills a child and says for what.
func (p *Parent) overrun(ch *child, thread int, budget time.Duration, now time.Time) {
	ch.overran = true
	p.overruns++
	culprit := ""
	args := []any{"slot", ch.slot, "pid", ch.proc.pid(), "generation", ch.generation.number, "cpu_timeout", budget.String()}
	if reports := p.sys.slotReport(ch.slot); thread < len(reports) {
		r := &reports[thread]
		culprit = r.Code
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
	p.codeFailed(ch.generation, ch.generation.codeNamed(culprit), 1, now)
}
