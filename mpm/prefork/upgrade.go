package prefork

import (
	"encoding/json"
	"strings"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm/image"
)

// UpgradeConfig is the part of a Config for Master.Upgrade.
type UpgradeConfig struct {
	// Version and Args are the program's own.
	Version string
	Args    []string
	// HandOver, if set, returns what the next program needs beyond the
	// master's own state, and the descriptors of this process named in it;
	// undo takes it back.
	HandOver func() (owner json.RawMessage, fds []int, undo func(), err error)
	// Takeover is what TakeOver returned, if this program is the next one: then
	// Run goes on where the other left off.
	Takeover *Takeover
	// Adopted, if set, is called when it does, instead of Config.Starting, with
	// the serving image, of which another build may have made what is in it.
	Adopted func(*image.Image)
}

// settlePatience bounds the wait for children that are starting or ending
// before another program takes over. One that is still starting then is killed
// by the kernel, with the thread that it was spawned by, and replaced.
const settlePatience = 5 * time.Second

// upgrade is what a reload is part of when another program takes over; see
// takeover.go. On this side of it there is path, and the reload has a trial
// only; on the other there is from, and the reload is one like any other.
type upgrade struct {
	path string // of the new binary
	from string // the version that served before
	// entered says that this is the other side.
	entered bool
}

// departure is the wait of a master that is about to execute another program.
type departure struct {
	// back says why: the new program failed, and the one before it is to go
	// on. It is empty on the way forth.
	back    []string
	program candidate // it proved itself; nil on the way back
	until   time.Time // then it is waited no longer
	now     bool      // there is nothing more to wait for
}

// upgrades is what a Parent knows of them.
type upgrades struct {
	awaited    *reload    // an upgrade, which comes before what else is queued
	departure  *departure // another program is about to take over
	upgraded   *Result    // how the last one ended, if it did here
	upgradedAt *time.Time // nil for never
}

// tell takes in the wish for another binary.
func (ev upgradeRequested) tell(p *Parent) {
	if p.stopping || p.winding != nil {
		ev.reply <- p.stoppingResult()
		return
	}
	if p.upgrading() || p.awaited != nil {
		ev.reply <- Result{Generation: p.servingNumber(), Errors: []string{"an upgrade is under way already; try again when it has ended"}}
		return
	}
	p.awaited = &reload{upgrade: &upgrade{path: ev.path}, waiters: []chan<- Result{ev.reply}}
}

// tell answers, or will answer, who asked the program before this one for an
// upgrade.
func (ev upgradeAwaited) tell(p *Parent) {
	switch r := p.reload; {
	case p.upgraded != nil:
		ev.reply <- *p.upgraded
	case r != nil && r.upgrade != nil:
		r.waiters = append(r.waiters, ev.reply)
	default:
		ev.reply <- Result{Generation: p.servingNumber(), Errors: []string{"the upgrade was given up"}}
	}
}

func (p *Parent) upgrading() bool { return p.reload != nil && p.reload.upgrade != nil }

// servingNumber is the number of the generation that serves, 0 if none does.
func (p *Parent) servingNumber() uint64 {
	if p.serving == nil {
		return 0
	}
	return p.serving.number
}

// beginUpgrade starts the check of another binary, if one is asked for and
// nothing else is under way.
func (p *Parent) beginUpgrade(now time.Time) {
	if p.reload != nil || p.awaited == nil || p.serving == nil {
		return
	}
	p.reload, p.awaited = p.awaited, nil
	r := p.reload
	p.log.Info("upgrade requested", "binary", r.upgrade.path, "generation", p.serving.number)
	if p.cfg.Reloading != nil {
		p.cfg.Reloading()
	}
	proc, err := p.sys.startSuccessor(r.upgrade.path, p.export(now))
	if err != nil {
		p.fail(splitLines(err), now)
		return
	}
	timeout := p.serving.options.CandidateTimeout
	p.reload.trial = &trial{proc: proc, timeout: timeout, step: "start " + r.upgrade.path + " as an apphost that can take over", deadline: now.Add(timeout)}
}

// successorProved takes in that the new binary can take over, if that is what the trial
// was about and what it showed.
func (p *Parent) successorProved(r *reload, t *trial, now time.Time) bool {
	if r.upgrade == nil || r.upgrade.entered || len(t.verdict()) > 0 {
		return false
	}
	p.log.Info("the new binary has proved itself", "binary", p.reload.upgrade.path, "version", t.version)
	p.departure = &departure{program: t.proc, until: now.Add(settlePatience)}
	return true
}

// unmaintained keeps the number of children as it is, where nobody can be
// spawned, and so nobody should be retired: before another program takes over,
// and in a generation that another build made.
func (p *Parent) unmaintained(g *generation, now time.Time) bool {
	if !g.foreign && p.departure == nil {
		return false
	}
	g.maintenance = now.Add(time.Second)
	return true
}

// kind is what failed, if the reload did.
func (r *reload) kind() string {
	if r.upgrade != nil {
		return "upgrade"
	}
	return "reload"
}

// upgradeDone notes the end of an upgrade, if the reload was that.
func (p *Parent) upgradeDone(r *reload, now time.Time) {
	if r.upgrade == nil {
		return
	}
	p.upgradedAt, p.upgraded = &now, &Result{Generation: p.serving.number, Warnings: r.warnings}
	p.log.Info("upgraded", "from_version", r.upgrade.from, "version", p.cfg.Upgrade.Version, "generation", p.serving.number)
}

// upgradeFailed notes how an upgrade failed, if the reload was part of one.
func (p *Parent) upgradeFailed(r *reload, res Result) Result {
	if r.upgrade != nil {
		p.upgraded = &res
	}
	return res
}

// goesBack ends an upgrade that failed on this side of it, if the reload was
// that: the program before this one takes over again. Children that this one
// has spawned for it have served nobody.
func (p *Parent) goesBack(r *reload, faults []string, now time.Time) bool {
	if r.upgrade == nil || !r.upgrade.entered {
		return false
	}
	p.log.Error("upgrade failed; the old binary takes over again", "version", r.upgrade.from, "reason", strings.Join(faults, "; "))
	r.next, r.trial = nil, nil
	p.departure = &departure{back: faults, until: now.Add(settlePatience)}
	for _, ch := range p.slots {
		switch {
		case ch == nil || ch.generation.adopted:
		case ch.ending: // since a moment ago
			ch.killAt = now.Add(lateness)
		default:
			p.end(ch, syscall.SIGKILL, now)
		}
	}
	return true
}

// depart moves the wait for a departure along: until no child is about to start
// or to end.
func (p *Parent) depart(now time.Time, next *wakeUp) {
	d := p.departure
	if d == nil {
		return
	}
	d.now = true
	for _, ch := range p.slots {
		if ch == nil {
			continue
		}
		starting, ending := !ch.ready && !ch.ending, ch.reaped
		if starting || ending || len(d.back) > 0 && !ch.generation.adopted {
			d.now = due(d.until, now)
		}
	}
	next.at(d.until)
}

// departs reports whether another program is to be executed now.
func (p *Parent) departs() bool {
	return p.departure != nil && p.departure.now && !p.stopping && p.winding == nil
}

// stay goes on after a departure that could not be.
func (p *Parent) stay(err error, now time.Time) {
	d := p.departure
	p.cancelDeparture()
	if len(d.back) == 0 {
		p.fail(splitLines(err), now)
		return
	}
	// Nobody can be spawned for the old generation here, and there is no way
	// back: a server that dwindles is worse than one that says why it ends.
	p.log.Error("the old binary cannot be executed again; stopping, and serving what is there", "err", err)
	p.reload.upgrade = nil
	p.reload.answer(Result{Errors: append(d.back, err.Error())})
	p.reload = nil
	p.gracefulStop(now)
}

func (p *Parent) cancelDeparture() {
	if p.departure != nil && p.departure.program != nil {
		p.departure.program.release()
	}
	p.departure = nil
}
