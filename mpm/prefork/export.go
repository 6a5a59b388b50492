package prefork

import (
	"slices"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/image"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// monotonic is t as a time on the system's monotonic clock, 0 for never.
func monotonic(t, now time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return sys.Monotonic() + t.Sub(now)
}

// onClock undoes monotonic.
func onClock(d time.Duration, now time.Time) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return now.Add(d - sys.Monotonic())
}

// export writes down what another program needs to go on from here, but for
// the descriptors, which are the system's.
func (p *Parent) export(now time.Time) *state {
	p.countAll(now)
	st := &state{
		Protocol: takeoverProtocol, Version: p.cfg.Upgrade.Version, Args: p.cfg.Upgrade.Args,
		Started: p.started, Upgraded: p.upgradedAt, LastReload: p.lastReload,
		Slots: len(p.slots), Number: p.number,
		Generations: []generationState{}, Children: []childState{}, Pages: []pageState{},
	}
	if p.departure != nil {
		st.Failed = p.departure.back
	}
	if q := p.queued; q != nil && len(q.waiters) == 0 { // who waits asks again
		st.Queued = "reload"
		if q.hard {
			st.Queued = "restart"
		}
	}
	for _, g := range append(slices.Clone(p.retired), p.serving) {
		if g == nil || g.retired && g.children == 0 {
			continue
		}
		st.Generations = append(st.Generations, generationState{
			Number: g.number, Retired: g.retired, Deadline: monotonic(g.deadline, now), Options: *g.options, Notes: g.notes, Buckets: len(g.pools), Codes: g.codeStatus(),
			files: g.files, from: g.image,
		})
	}
	for _, ch := range p.slots {
		if ch == nil {
			continue
		}
		p.claim(ch, now)
		if ch.reaped {
			continue
		}
		st.Children = append(st.Children, childState{
			PID: ch.proc.pid(), Slot: ch.slot, Bucket: ch.bucket, Generation: ch.generation.number, Ready: ch.ready, Ending: ch.ending,
			Spawned: monotonic(ch.spawned, now), StartBy: monotonic(ch.startBy, now), KillAt: monotonic(ch.killAt, now),
			proc: ch.proc,
		})
	}
	st.Served, st.Limits, st.Overruns = p.ledger.export(), p.limits.status(), p.overruns
	return st
}

// adopted is what a system has taken over for a Parent: the generations, by
// their number, and the children, by their slot.
type adopted struct {
	generations map[uint64]adoptedGeneration
	children    map[int]process
}

type adoptedGeneration struct {
	files generationFiles
	image *image.Image
	// foreign says that another build has made it.
	foreign bool
}

// adopt goes on where another program has left off, in its stead: with a
// reload, when it is the successor, or as before, when the successor gave up.
func (p *Parent) adopt(st *state, a adopted, now time.Time) {
	p.started, p.upgradedAt, p.lastReload = st.Started, st.Upgraded, st.LastReload
	p.number, p.slots = st.Number, make([]*child, st.Slots)
	p.ledger.adopt(st.Served)
	p.limits.adopt(st.Limits)
	p.overruns = st.Overruns
	byNumber := map[uint64]*generation{}
	for i := range st.Generations {
		s := &st.Generations[i]
		from := a.generations[s.Number]
		options := s.Options
		lenient(&options)
		g := &generation{
			blueprint: (&blueprint{image: from.image, options: &options, notes: s.Notes}).hold(),
			number:    s.Number, files: from.files, served: true, pools: make([]pool, s.Buckets),
			adopted: true, foreign: from.foreign, retired: s.Retired, deadline: onClock(s.Deadline, now), maintenance: now,
		}
		g.adoptCodes(s.Codes)
		byNumber[g.number] = g
		if g.retired {
			g.retiredAt = now
			p.retired = append(p.retired, g)
		} else {
			p.serving = g
		}
	}
	for _, s := range st.Children {
		ch := &child{
			slot: s.Slot, bucket: s.Bucket, proc: a.children[s.Slot], generation: byNumber[s.Generation], ready: s.Ready, ending: s.Ending,
			spawned: onClock(s.Spawned, now), startBy: onClock(s.StartBy, now), killAt: onClock(s.KillAt, now),
		}
		p.slots[s.Slot], p.byPID[s.PID] = ch, ch
		ch.generation.children++
		p.adoptFailures(ch)
	}
	p.alarm(now) // of the bell nothing is known
	if st.Queued != "" {
		p.queued = &reload{hard: st.Queued == "restart"}
	}
	if p.cfg.Upgrade.Adopted != nil {
		p.cfg.Upgrade.Adopted(p.serving.image)
	}
	if len(st.Failed) == 0 {
		p.log.Info("taking over", "from_version", st.Version, "version", p.cfg.Upgrade.Version, "generation", p.serving.number,
			"children", len(p.byPID))
		p.reload = &reload{upgrade: &upgrade{from: st.Version, entered: true}}
		p.tryOut(now)
		return
	}
	p.log.Info("serving again", "version", p.cfg.Upgrade.Version, "generation", p.serving.number, "children", len(p.byPID))
	p.reload = &reload{upgrade: new(upgrade)}
	p.fail(st.Failed, now)
}

// lenient fills in what an adopted generation's options may lack, because
// another build wrote them.
func lenient(o *mpm.Options) {
	if o.CandidateTimeout <= 0 {
		o.CandidateTimeout = firstStepTimeout
	}
}
