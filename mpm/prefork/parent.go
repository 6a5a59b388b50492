package prefork

import (
	"errors"
	"log/slog"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/image"
)

// Config is what a Parent is made with.
type Config struct {
	// PID is the master's, as told to people.
	PID int
	// ConfigPath is handed to candidates, who read it.
	ConfigPath string
	// Environment is what children and candidates get as theirs, less what a
	// service manager means for the master alone.
	Environment []string
	// Logger receives what the master has to say.
	Logger *slog.Logger
	// Hangup, if set, says what SIGHUP asks for: Restart, which is the
	// default, or Stop when a terminal was closed.
	Hangup func() Request
	// OnTerminal says that the server was started on a terminal, whose every
	// change of size sends SIGWINCH, which asks for a graceful stop otherwise.
	OnTerminal bool
	// Starting, if set, is called before the first child of the first
	// generation is spawned.
	Starting func(*image.Image)
	Serving  func(Status)
	// Reloading, if set, is called when a reload begins. Serving follows, or
	// Failed, or Stopping.
	Reloading func()
	// Failed, if set, is called when a reload has failed, and the generation of
	// before serves on.
	Failed func(Result)
	// Stopping, if set, is called when a server that serves begins to stop,
	// with how long that may take; 0 is without bound.
	Stopping func(within time.Duration)
}

// Status describes the serving generation.
type Status struct {
	Generation uint64
	Image      *image.Image
	Sockets    []Socket
	Notes      []string
	Warnings   []string
	// Children is how many it has, Older how many of older generations still
	// serve a connection each.
	Children, Older int
	// Buckets is how many its children are divided into.
	Buckets int
}

// Parent is the master's state. It belongs to one goroutine.
type Parent struct {
	cfg Config
	sys system
	log *slog.Logger

	slots   []*child       // by slot; nil is free; made with the first generation
	byPID   map[int]*child // the same children
	serving *generation    // nil until the first one serves
	retired []*generation  // oldest first
	number  uint64         // of the youngest generation, serving or not

	reload *reload // the one under way
	queued *reload // the one that follows it

	started    time.Time
	lastReload *ReloadStatus

	winding  *windUp // a graceful stop
	stopping bool
	giveUpAt time.Time // then a stop ends without those that cannot be killed
	stopped  []chan<- Result
	failed   *Result // why the start failed
}

func newParent(cfg Config, sys system) *Parent {
	return &Parent{cfg: cfg, sys: sys, log: cfg.Logger, byPID: make(map[int]*child)}
}

// begin starts the first generation.
func (p *Parent) begin(now time.Time) {
	p.started = now
	p.reload = new(reload)
	p.tryOut(now)
}

// handle takes in one event.
func (p *Parent) handle(ev event, now time.Time) {
	switch ev := ev.(type) {
	case childrenEnded:
		p.reap(now)
	case childSaid:
		if ch := p.byPID[ev.pid]; ch != nil {
			p.childSaid(ch, ev)
		}
	case childClosed:
		if ch := p.byPID[ev.pid]; ch != nil {
			ch.closed = true
			p.bury(ch, now)
		}
	case candidateSaid:
		if t := p.trialOf(ev.pid); t != nil {
			t.hear(ev.kind, ev.text, now)
		}
	case candidateClosed:
		if t := p.trialOf(ev.pid); t != nil {
			t.closed = true
		}
	case requested:
		p.request(ev, now)
	case inspected:
		ev.reply <- p.snapshot(now)
	}
}

// advance does what is due and returns when to call it again at the latest;
// the zero time means only after an event.
func (p *Parent) advance(now time.Time) time.Time {
	var next wakeUp
	for _, ch := range p.slots {
		if ch != nil {
			p.enforce(ch, now)
			next.at(ch.startBy)
			next.at(ch.killAt)
			next.at(ch.closeBy)
		}
	}
	p.bound(now, &next)
	p.proceed(now, &next)
	p.wind(now, &next)
	if p.serving != nil && !p.stopping {
		p.maintain(p.serving, now)
		next.at(p.serving.maintenance)
	}
	next.at(p.giveUpAt)
	return next.time
}

// done reports whether the master has nothing left to do, or nothing that it
// can do.
func (p *Parent) done(now time.Time) bool {
	if !p.stopping {
		return false
	}
	return len(p.byPID) == 0 && (p.reload == nil || p.reload.trial == nil) || due(p.giveUpAt, now)
}

// wakeUp is the earliest of some times.
type wakeUp struct{ time time.Time }

func (w *wakeUp) at(t time.Time) {
	if !t.IsZero() && (w.time.IsZero() || t.Before(w.time)) {
		w.time = t
	}
}

// enforce ends a child that is past one of its deadlines.
func (p *Parent) enforce(ch *child, now time.Time) {
	if due(ch.closeBy, now) {
		ch.closed = true
		p.bury(ch, now)
		return
	}
	if due(ch.startBy, now) {
		if p.sys.slotState(ch.slot) != mpm.StateStarting && !ch.late {
			// It is ready, and we have not read so yet; or its slot lies.
			ch.late, ch.startBy = true, now.Add(reportPatience)
			return
		}
		p.log.Error("child is not ready in time", "slot", ch.slot, "pid", ch.proc.pid(),
			"generation", ch.generation.number, "start_timeout", ch.generation.options.StartTimeout)
		ch.reason = "it was not ready within " + ch.generation.options.StartTimeout.String() + " (mpm.start_timeout)"
		p.end(ch, syscall.SIGKILL, now)
		if r := p.reload; r != nil && r.next == ch.generation {
			p.failedProof(ch) // its end is not waited for, it may not come
		}
	}
	if due(ch.killAt, now) {
		p.log.Warn("killing child that does not end", "slot", ch.slot, "pid", ch.proc.pid())
		p.end(ch, syscall.SIGKILL, now)
	}
}

func due(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// end signals a child to end, and sees to it that it does.
func (p *Parent) end(ch *child, sig syscall.Signal, now time.Time) {
	killAt := ch.killAt
	ch.startBy, ch.killAt = time.Time{}, time.Time{}
	if ch.reaped {
		return
	}
	ch.ending = true
	if err := ch.proc.signal(sig); err != nil {
		p.log.Error("cannot signal child", "slot", ch.slot, "pid", ch.proc.pid(), "err", err)
	}
	if sig != syscall.SIGKILL {
		ch.killAt = now.Add(ch.generation.options.KillTimeout)
		if due(killAt, ch.killAt) {
			ch.killAt = killAt // asking again grants no more time
		}
	}
}

// reap collects the processes that have ended.
func (p *Parent) reap(now time.Time) {
	for {
		pid, status := p.sys.reap()
		if pid == 0 {
			return
		}
		if ch := p.byPID[pid]; ch != nil {
			ch.reaped, ch.status = true, exitStatus(status)
			ch.startBy, ch.killAt = time.Time{}, time.Time{}
			ch.closeBy = now.Add(reportPatience)
			p.bury(ch, now)
			continue
		}
		if t := p.trialOf(pid); t != nil {
			t.exited, t.status = true, exitStatus(status).String()
			t.deadline = now.Add(reportPatience)
			continue
		}
		// An orphan that fell to us as process 1, or a candidate given up.
		p.log.Debug("unknown process ended", "pid", pid)
	}
}

// childSaid takes in what a child reported of itself.
func (p *Parent) childSaid(ch *child, ev childSaid) {
	if ev.fail != "" {
		ch.reason = ev.fail
		return
	}
	if !ev.ready || ch.ready {
		return
	}
	ch.ready, ch.startBy = true, time.Time{}
	p.log.Debug("child is ready", "slot", ch.slot, "pid", ch.proc.pid(), "generation", ch.generation.number)
}

// bury removes a child that is reaped and silent.
func (p *Parent) bury(ch *child, now time.Time) {
	if !ch.reaped || !ch.closed {
		return
	}
	g := ch.generation
	p.slots[ch.slot] = nil
	delete(p.byPID, ch.proc.pid())
	ch.proc.release()
	g.children--
	p.lament(ch)
	if r := p.reload; r != nil && r.next == g {
		p.failedProof(ch)
	} else if g == p.serving && !p.stopping {
		p.replace(ch, now)
	}
}

// lament logs a death, as loud as it deserves.
func (p *Parent) lament(ch *child) {
	args := []any{"slot", ch.slot, "pid", ch.proc.pid(), "generation", ch.generation.number, "status", ch.status.String()}
	switch {
	case ch.reason != "":
		p.log.Error("child cannot serve", append(args, "reason", ch.reason)...)
	case ch.ending || ch.status.clean():
		p.log.Debug("child ended", args...)
	default:
		p.log.Error("child died", args...)
	}
}

// replace sees to it that a dead child of the serving generation is made up
// for: at once, unless children keep dying young.
func (p *Parent) replace(ch *child, now time.Time) {
	g := ch.generation
	g.maintenance = now
	if ch.status.clean() && ch.ready {
		g.pools[ch.bucket].leaving = time.Time{}
		return
	}
	gaveUp := ch.status.code() == ExitSick || ch.status.code() == ExitFatal
	if ch.ready && !gaveUp && now.Sub(ch.spawned) >= youth {
		return
	}
	p.slowDown(g, now)
	if g.failures == 3 {
		p.log.Warn("children die young; spawning more and more slowly until they live", "generation", g.number)
	}
}

// slowDown notes a failure of g, and puts off its next spawn.
func (p *Parent) slowDown(g *generation, now time.Time) {
	if now.Sub(g.failed) > calm+backoff(g.failures) {
		g.failures = 0
	}
	g.failures++
	g.failed = now
	g.singly()
	g.notBefore = now.Add(backoff(g.failures))
}

// maintain keeps the number of idle children in bounds.
func (p *Parent) maintain(g *generation, now time.Time) {
	if now.Before(g.maintenance) {
		return
	}
	if now.Before(g.notBefore) {
		g.maintenance = g.notBefore
		return
	}
	if err := g.files.sweep(now); err != nil {
		p.log.Error("cannot close what no bucket needs", "err", err)
	}
	failing := g.failures > 2 && now.Sub(g.failed) <= calm+backoff(g.failures)
	most := len(p.slots)
	if failing {
		most = 1
	}
	d, pools := planAll(p.census(g, now), most, g.options)
	g.maintenance = now.Add(d.next)
	for b := range g.pools {
		g.pools[b].rate = pools[b].rate
	}
	if failing {
		g.singly()
		if len(d.spawn) > 0 && !p.lives(g, now) {
			g.notBefore = now.Add(youth) // this one has to show first that it can live
		}
	}
	if d.full && !g.full {
		p.log.Warn("every child is busy and no more may be started; raise mpm.max_request_workers (and mpm.server_limit) if the machine can bear it",
			"max_request_workers", g.options.MaxRequestWorkers, "server_limit", g.options.ServerLimit)
	}
	g.full = d.full
	if d.retire >= 0 {
		if err := g.files.retireOne(d.retire); err != nil {
			p.log.Error("cannot retire an idle child", "err", err)
		}
		g.pools[d.retire].leaving = now.Add(podPatience)
	}
	for _, bucket := range d.spawn {
		if err := p.spawn(g, bucket, now); err != nil {
			p.log.Error("cannot spawn child", "generation", g.number, "err", err)
			p.slowDown(g, now)
			g.notBefore = now.Add(max(backoff(g.failures), time.Second))
			return
		}
	}
}

// spawn starts a child of g in the lowest free slot.
func (p *Parent) spawn(g *generation, bucket int, now time.Time) error {
	slot := p.freeSlot()
	if slot < 0 {
		return errors.New("no slot is free")
	}
	proc, err := p.sys.spawn(slot, bucket, g.number, g.files)
	if err != nil {
		return err
	}
	ch := &child{slot: slot, bucket: bucket, proc: proc, generation: g, spawned: now, startBy: now.Add(g.options.StartTimeout)}
	p.slots[slot] = ch
	p.byPID[proc.pid()] = ch
	g.children++
	p.log.Debug("child spawned", "slot", slot, "bucket", bucket, "pid", proc.pid(), "generation", g.number)
	return nil
}

// busy counts the children of g that serve a connection.
func (p *Parent) busy(g *generation) int {
	n := 0
	for slot, ch := range p.slots {
		if ch != nil && ch.generation == g && ch.ready && p.sys.slotState(slot).Busy() {
			n++
		}
	}
	return n
}
