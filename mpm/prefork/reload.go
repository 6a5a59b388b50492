package prefork

import (
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
)

const (
	// firstStepTimeout bounds the candidate's first step at the start, when
	// no configuration has been read yet.
	firstStepTimeout = 30 * time.Second
	// proofTries is how many children of a new generation may be killed by a
	// signal before the generation counts as the cause.
	proofTries = 3
	// lateness is how much later a candidate is found overdue than it is.
	lateness = 200 * time.Millisecond
	// handoverTimeout bounds the wait for the idle children of the old
	// generation to leave; they need microseconds.
	handoverTimeout = 2 * time.Second
	// spawnBatch is how many children are spawned before the master looks
	// for events again.
	spawnBatch = 8
	// handoverPoll is how often to look whether they have.
	handoverPoll = 2 * time.Millisecond
)

// reload is the change from one generation to the next. It goes through three
// phases: a candidate tries the configuration out (trial), the children of
// the new generation become ready (next), the idle children of the old one
// leave (old).
type reload struct {
	hard    bool      // end the old generation at once
	back    *RollBack // it is none that was asked for
	waiters []chan<- Result

	trial    *trial
	next     *generation
	want     int // children that next starts with
	deaths   int // of children of next that may be no fault of theirs
	faults   []string
	warnings []string
	old      *generation
	handover time.Time // deadline for the old idle children

	upgrade *upgrade // it is part of one
}

func (r *reload) answer(res Result) {
	res.Warnings = r.warnings
	for _, w := range r.waiters {
		w <- res // buffered by whoever asked
	}
	r.waiters = nil
}

// request takes in what an operator wants.
func (p *Parent) request(ev requested, now time.Time) {
	if ev.what == Stop {
		if ev.reply != nil {
			p.stopped = append(p.stopped, ev.reply)
		}
		p.stop(now)
		return
	}
	if ev.what == GracefulStop {
		if ev.reply != nil {
			p.stopped = append(p.stopped, ev.reply)
		}
		p.gracefulStop(now)
		return
	}
	if ev.what == ReopenLogs {
		p.reopenLogs(ev.reply, now)
		return
	}
	if p.stopping || p.winding != nil {
		if ev.reply != nil {
			ev.reply <- p.stoppingResult()
		}
		return
	}
	// One reload runs, at most one waits; more requests join the one that
	// waits, since it will see what they want seen.
	r := p.queued
	if r == nil {
		r = new(reload)
		p.queued = r
	}
	r.hard = r.hard || ev.what == Restart
	if ev.reply != nil {
		r.waiters = append(r.waiters, ev.reply)
	}
}

// proceed moves the reload along as far as it can go now.
func (p *Parent) proceed(now time.Time, next *wakeUp) {
	if p.stopping || p.winding != nil {
		p.abandon(now, next)
		return
	}
	if p.reload == nil && p.condemned() {
		p.goBack(now) // before an upgrade, which forgets that
	}
	p.beginUpgrade(now)
	if p.reload == nil && p.queued != nil && p.serving != nil {
		p.reload, p.queued = p.queued, nil
		p.log.Info("reload requested", "generation", p.serving.number)
		if p.cfg.Reloading != nil {
			p.cfg.Reloading()
		}
		p.tryOut(now)
	}
	if r := p.reload; r != nil && r.trial != nil {
		p.judge(r, now)
	}
	p.depart(now, next)
	if r := p.reload; r != nil && r.next != nil {
		p.prove(r, now)
	}
	if r := p.reload; r != nil && r.old != nil {
		p.handOver(r, now)
	}
	if r := p.reload; r != nil {
		if r.trial != nil {
			next.at(r.trial.deadline)
		}
		if r.next != nil && r.next.children < r.want {
			next.at(now)
		}
		if r.old != nil {
			next.at(now.Add(handoverPoll))
		}
	} else if p.queued != nil || p.awaited != nil || p.condemned() {
		next.at(now)
	}
}

// tryOut starts a candidate.
func (p *Parent) tryOut(now time.Time) {
	timeout := firstStepTimeout
	if p.serving != nil {
		timeout = p.serving.options.CandidateTimeout
	}
	proc, err := p.sys.startCandidate()
	if err != nil {
		p.fail([]string{err.Error()}, now)
		return
	}
	p.reload.trial = &trial{proc: proc, timeout: timeout, step: "read the configuration", deadline: now.Add(timeout)}
}

func (p *Parent) trialOf(pid int) *trial {
	if r := p.reload; r != nil && r.trial != nil && r.trial.proc.pid() == pid {
		return r.trial
	}
	return nil
}

// judge ends the trial once the candidate has ended or is overdue.
func (p *Parent) judge(r *reload, now time.Time) {
	t := r.trial
	if t.overdue(now) {
		if err := t.proc.signal(syscall.SIGKILL); err != nil {
			p.log.Error("cannot kill candidate", "pid", t.proc.pid(), "err", err)
		}
	}
	if !t.exited || !t.closed {
		return
	}
	r.trial = nil
	r.warnings = t.warnings
	if p.successorProved(r, t, now) {
		return
	}
	defer t.proc.release()
	if faults := t.verdict(); len(faults) > 0 {
		p.fail(faults, now)
		return
	}
	img, o, err := t.proc.result()
	if err != nil {
		p.fail([]string{err.Error()}, now)
		return
	}
	b := &blueprint{image: img, options: o, notes: t.notes, users: 1}
	if err := p.open(r, b); err != nil {
		b.letGo()
		p.fail(splitLines(err), now)
	}
}

// open makes the next generation, which owns b if there is no error.
func (p *Parent) open(r *reload, b *blueprint) error {
	o := b.options
	free, err := p.admit(o)
	if err != nil {
		return err
	}
	files, err := p.sys.openGeneration(b.image, o)
	if err != nil {
		return err
	}
	if err := p.prepare(r, o); err != nil {
		files.release()
		return err
	}
	if p.cfg.Starting != nil && p.serving == nil {
		p.cfg.Starting(b.image)
	}
	p.number++
	r.next = &generation{blueprint: b, number: p.number, files: files, pools: make([]pool, o.BucketCount()), codes: make([]codeRecord, len(o.Codes))}
	busy := 0
	if p.serving != nil {
		busy = p.busy(p.serving)
	}
	r.want = max(startCount(o, busy, free), o.BucketCount())
	return nil
}

// failedProof notes the death of a child of the generation that is to serve.
func (p *Parent) failedProof(ch *child) {
	r := p.reload
	switch {
	case ch.reason != "":
		r.faults = append(r.faults, "a child of the new generation cannot serve: "+ch.reason)
	case ch.status.signal() != 0 && r.deaths < proofTries:
		r.deaths++ // anyone can be killed; prove spawns another
	default:
		r.faults = append(r.faults, "a child of the new generation died before it could serve: "+ch.status.String())
	}
}

// prove spawns the children of the next generation, waits until every one is
// ready, and lets it serve; or gives it up.
func (p *Parent) prove(r *reload, now time.Time) {
	g := r.next
	// The generation that serves may have taken slots since they were counted.
	r.want = min(r.want, max(g.children+p.freeSlots(), len(g.pools)))
	for range min(spawnBatch, r.want-g.children) {
		if len(r.faults) > 0 {
			break
		}
		if err := p.spawn(g, p.smallest(g), now); err != nil {
			r.faults = append(r.faults, err.Error())
		}
	}
	if len(r.faults) > 0 {
		p.giveUp(r, now)
		return
	}
	if g.children < r.want {
		return
	}
	for _, ch := range p.slots {
		if ch != nil && ch.generation == g && (!ch.ready || ch.reaped) {
			return
		}
	}
	r.next, r.old = nil, p.serving
	p.watch(r, r.old, g, now)
	p.serving, g.served = g, true
	g.maintenance = now
	g.files.open() // before the old one stops: at no time does nobody accept
	if r.old != nil {
		p.retire(r.old, now)
	}
	if r.hard {
		for _, old := range p.retired {
			if n := p.busy(old); n > 0 {
				p.log.Warn("ending children that still serve", "generation", old.number, "children", n)
			}
			p.endAll(old, now)
		}
	}
	r.handover = now.Add(handoverTimeout)
	if r.old == nil {
		p.finish(r, now)
	}
}

// handOver waits until no child of the old generation will accept again: one
// that says it is ready may be about to, while one that serves or starts will
// see first that its generation is over.
func (p *Parent) handOver(r *reload, now time.Time) {
	for slot, ch := range p.slots {
		if ch != nil && ch.generation == r.old && !ch.reaped &&
			p.sys.slotState(slot) == mpm.StateReady {
			if now.Before(r.handover) {
				return
			}
			p.log.Warn("an idle child of the old generation does not leave", "slot", slot, "pid", ch.proc.pid())
		}
	}
	p.finish(r, now)
}

// finish ends a reload that was done.
func (p *Parent) finish(r *reload, now time.Time) {
	g := p.serving
	p.reload = nil
	older := 0
	for _, old := range p.retired {
		older += p.busy(old)
	}
	if r.old != nil {
		p.recordReload(r, nil, now)
	}
	p.upgradeDone(r, now)
	p.log.Debug("generation serves", "generation", g.number)
	if p.cfg.Serving != nil {
		p.cfg.Serving(Status{
			Generation: g.number, Image: g.image, Sockets: g.files.sockets(), Notes: g.notes,
			Warnings: r.warnings, RollBack: r.back, Children: g.children, Older: older, Buckets: len(g.pools),
		})
	}
	r.answer(Result{Generation: g.number})
}

// giveUp retires a generation that never served.
func (p *Parent) giveUp(r *reload, now time.Time) {
	g, faults := r.next, r.faults
	r.next = nil
	p.retire(g, now)
	p.fail(unique(faults), now)
}

// fail ends the reload without a new generation. At the start there is none
// to go on with, so the master ends.
func (p *Parent) fail(faults []string, now time.Time) {
	r := p.reload
	if p.goesBack(r, faults, now) {
		return
	}
	p.reload = nil
	if p.serving == nil {
		p.failed = &Result{Errors: faults, Warnings: r.warnings}
		p.stop(now)
		r.answer(*p.failed)
		return
	}
	p.recordReload(r, faults, now)
	what := r.kind() + " failed"
	if r.back != nil {
		what = "cannot go back to what served before"
	}
	for _, w := range r.warnings {
		p.log.Warn("warning of a failed "+r.kind(), "warning", w)
	}
	for _, f := range faults {
		p.log.Error(what, "reason", f, "generation", p.serving.number)
	}
	res := p.upgradeFailed(r, Result{Generation: p.serving.number, Errors: p.lastReload.Errors, Warnings: r.warnings})
	if p.cfg.Failed != nil {
		p.cfg.Failed(res)
	}
	r.answer(res)
}
