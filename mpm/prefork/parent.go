package prefork

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/image"
	"github.com/apphost/apphost/mpm/logs"
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
	// ErrorLog, if set, is where Logger writes to. It follows the error log of
	// the generation that serves.
	ErrorLog *logs.Stream
	// Detached says that standard error is nothing to log to.
	Detached bool
	// Hangup, if set, says what SIGHUP asks for: Restart, which is the
	// default, or Stop when a terminal was closed.
	Hangup func() Request
	// OnTerminal says that the server was started on a terminal, whose every
	// change of size sends SIGWINCH, which asks for a graceful stop otherwise.
	OnTerminal bool
	// Publish encodes a Snapshot for the children of generations with Status.
	Publish func(Snapshot) []byte
	// Hooks are those of the master; mpm.Hooks says which.
	Hooks mpm.Hooks
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
	// Spawning, if set, is called when children of a serving generation begin
	// to die young, so that new ones are spawned slowly, and when they live
	// again.
	Spawning func(generation uint64, s SpawnStatus)
	// Jitter gives a number from 0 to below 1, at random unless set otherwise,
	// by which pauses differ.
	Jitter func() float64
	// Stopping, if set, is called when a server that serves begins to stop,
	// with how long that may take; 0 is without bound.
	Stopping func(within time.Duration)
	// Upgrade is what it takes to upgrade the program in place.
	Upgrade UpgradeConfig
}

// Status describes the serving generation.
type Status struct {
	Generation uint64
	Image      *image.Image
	Sockets    []Socket
	Notes      []string
	Warnings   []string
	// RollBack is set when an earlier generation serves again, under this
	// number, because the one between did not prove itself.
	RollBack *RollBack
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

	reload    *reload    // the one under way
	queued    *reload    // the one that follows it
	probation *probation // of the serving generation, until it has proved itself
	limits    limits
	upgrades

	started    time.Time
	lastReload *ReloadStatus
	statistics
	watchdog
	overruns uint64 // children killed for what they ran

	newLogs  *newLogs // a reopening of the log files
	winding  *windUp  // a graceful stop
	stopping bool
	giveUpAt time.Time // then a stop ends without those that cannot be killed
	stopped  []chan<- Result
	monitor  time.Time // when to run that hook
	failed   *Result   // why the start failed
}

func newParent(cfg Config, sys system) *Parent {
	if cfg.Jitter == nil {
		cfg.Jitter = rand.Float64
	}
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
			p.childSaid(ch, ev, now)
		}
	case childRuns:
		p.alarm(now)
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
	case upgradeEvent:
		ev.tell(p)
	case inspected:
		ev.reply <- p.snapshot(now)
	case released:
		ev.reply <- p.releaseCode(ev.name, now)
	case wished:
		p.wished = true
	}
}

// advance does what is due and returns when to call it again at the latest;
// the zero time means only after an event.
func (p *Parent) advance(now time.Time) time.Time {
	var next wakeUp
	for _, ch := range p.slots {
		if ch != nil {
			p.enforce(ch, now)
		}
	}
	p.watchAll(now, &next)
	p.countFailures(now, &next)
	p.bound(now, &next)
	p.probate(now, &next)
	p.proceed(now, &next)
	p.wind(now, &next)
	p.awaitNewLogs(now, &next)
	p.publish(now, &next)
	if p.serving != nil && !p.stopping {
		p.maintain(p.serving, now)
		next.at(p.serving.maintenance)
		p.runMonitor(now, &next)
	}
	for _, ch := range p.slots { // at last: all of the above may end children
		if ch != nil {
			next.at(ch.startBy)
			next.at(ch.killAt)
			next.at(ch.closeBy)
		}
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
func (p *Parent) childSaid(ch *child, ev childSaid, now time.Time) {
	if ev.fail != "" {
		ch.reason = ev.fail
		return
	}
	if !ev.ready || ch.ready {
		return
	}
	ch.ready, ch.startBy = true, time.Time{}
	if ch.generation.options.Watch {
		p.alarm(now)
	}
	p.log.Debug("child is ready", append([]any{"slot", ch.slot, "pid", ch.proc.pid()}, p.totals(ch.generation)...)...)
}

// bury removes a child that is reaped and silent.
func (p *Parent) bury(ch *child, now time.Time) {
	if !ch.reaped || !ch.closed {
		return
	}
	g := ch.generation
	p.account(ch, now)
	p.convict(ch, now)
	p.slots[ch.slot] = nil
	delete(p.byPID, ch.proc.pid())
	ch.proc.release()
	g.children--
	p.lament(ch)
	p.tell(ch, mpm.ChildExited)
	if r := p.reload; r != nil && r.next == g {
		p.failedProof(ch)
	} else if g == p.serving && !p.stopping {
		p.replace(ch, now)
		p.blame(ch, now)
	}
}

// lament logs a death, as loud as it deserves.
func (p *Parent) lament(ch *child) {
	status := ch.status.String()
	if ch.ending && ch.status.signal() == syscall.SIGKILL {
		status = "killed by this server"
	}
	args := append([]any{"slot", ch.slot, "pid", ch.proc.pid(), "status", status}, p.totals(ch.generation)...)
	switch {
	case ch.reason != "":
		p.log.Error("child cannot serve", append(args, "reason", ch.reason)...)
	case ch.ending || ch.status.clean():
		p.log.Debug("child ended", args...)
	default:
		p.log.Error("child died", args...)
	}
}

// maintain keeps the number of idle children in bounds.
func (p *Parent) maintain(g *generation, now time.Time) {
	if now.Before(g.maintenance) || p.unmaintained(g, now) {
		return
	}
	if now.Before(g.notBefore) {
		g.maintenance = g.notBefore
		return
	}
	if err := g.files.sweep(now); err != nil {
		p.log.Error("cannot close what no bucket needs", "err", err)
	}
	p.recovered(g, now)
	failing := g.failures > 2 && g.troubled(now)
	most := len(p.slots)
	if failing {
		most = 1
	}
	cs := p.census(g, now)
	d, pools := planAll(cs, most, g.options)
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
	p.noteLimit(g, limitOf(cs, d.full, g.options), now)
	if d.retire >= 0 {
		if err := g.files.retireOne(d.retire); err != nil {
			p.log.Error("cannot retire an idle child", "err", err)
		}
		g.pools[d.retire].leaving = now.Add(podPatience)
	}
	for _, bucket := range d.spawn {
		if err := p.spawn(g, bucket, now); err != nil {
			p.spawnFailed(g, err, now)
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
	p.log.Debug("child spawned", append(append([]any{"slot", slot, "pid", proc.pid()}, p.totals(g)...), "bucket", bucket)...)
	p.tell(ch, mpm.ChildStarted)
	return nil
}
