package prefork

import (
	"fmt"
	"strings"
	"syscall"
	"time"
)

// probation is the time in which a generation that a reload brought into
// service has to prove itself. Its children were ready, so that much is known;
// what they do with connections is not. If too many die badly, the master goes
// back by itself to the last generation that has proved itself, or was the
// first, under a new number: numbers only grow.
//
// Children that have left cannot come back, so what is kept is the blueprint.
type probation struct {
	fallback *blueprint
	number   uint64 // of the generation that ran the fallback
	until    time.Time
	reasons  []string // of each bad death so far
}

// RollBack says why and how the master went back to an earlier generation.
type RollBack struct {
	// From is the generation that did not prove itself, To the one whose
	// image and options took its place.
	From, To uint64
	// Reasons are how its children died, each once.
	Reasons []string
}

func (b *RollBack) String() string {
	return fmt.Sprintf("generation %d did not prove itself: %s", b.From, strings.Join(b.Reasons, "; "))
}

// watch puts next on probation, which takes over from old.
func (p *Parent) watch(r *reload, old, next *generation, now time.Time) {
	was := p.probation
	o := next.options
	// Nor is one that another build made: this one cannot run it.
	if old == nil || r.back != nil || old.foreign || o.ProveDeaths == 0 || o.ProveTime == 0 {
		p.endProbation()
		return
	}
	// A generation that has not proved itself is nothing to go back to.
	p.probation = &probation{until: now.Add(o.ProveTime)}
	if was != nil {
		p.probation.fallback, p.probation.number = was.fallback, was.number
	} else {
		p.probation.fallback, p.probation.number = old.hold(), old.number
	}
}

func (p *Parent) endProbation() {
	if p.probation != nil {
		p.probation.fallback.letGo()
		p.probation = nil
	}
}

// blame counts the death of a child of the serving generation against it, if
// it died badly. One that is short of a resource says nothing against its
// generation, nor does one that somebody asked to end.
func (p *Parent) blame(ch *child, now time.Time) {
	b := p.probation
	if b == nil || due(b.until, now) {
		return
	}
	switch {
	case ch.status.code() == ExitSick:
	case ch.reason != "":
		b.reasons = append(b.reasons, ch.reason)
	case ch.ending || ch.status.signal() == syscall.SIGTERM || ch.ready && ch.status.clean():
	default:
		b.reasons = append(b.reasons, ch.status.String())
	}
}

// condemned reports whether the serving generation has failed to prove itself.
func (p *Parent) condemned() bool {
	return p.probation != nil && len(p.probation.reasons) >= p.serving.options.ProveDeaths
}

// probate ends a probation that went well.
func (p *Parent) probate(now time.Time, next *wakeUp) {
	if p.probation == nil || p.condemned() {
		return
	}
	if due(p.probation.until, now) {
		p.log.Debug("generation has proved itself", "generation", p.serving.number)
		p.endProbation()
		return
	}
	next.at(p.probation.until)
}

// goBack is a reload without a candidate: what it takes over was tried out
// when it was new. The condemned generation serves, as well as it can, until
// the children of the other are ready.
func (p *Parent) goBack(now time.Time) {
	b, bad := p.probation, p.serving
	p.probation = nil
	back := &RollBack{From: bad.number, To: b.number, Reasons: unique(b.reasons)}
	p.log.Error("generation did not prove itself; going back to what served before", "generation", back.From,
		"back_to", back.To, "deaths", len(b.reasons), "prove_time", bad.options.ProveTime, "reasons", strings.Join(back.Reasons, "; "))
	if p.cfg.Reloading != nil {
		p.cfg.Reloading()
	}
	r := &reload{back: back}
	p.reload = r
	if err := p.open(r, b.fallback); err != nil {
		b.fallback.letGo()
		p.fail(splitLines(err), now)
	}
}
