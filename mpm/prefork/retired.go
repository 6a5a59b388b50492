package prefork

import (
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
)

// retire makes every child of g leave once it is idle.
func (p *Parent) retire(g *generation, now time.Time) {
	g.retired, g.retiredAt = true, now
	p.log.Debug("generation is to leave", p.totals(g)...)
	g.files.retire()
	if g.options.GracefulRestartTimeout > 0 {
		g.deadline = now.Add(g.options.GracefulRestartTimeout)
	}
	for slot, ch := range p.slots {
		// One that is still starting would leave before it accepts, now that
		// the pipe is closed; it need not take the trouble. Its own word
		// decides, not ours: one that is ready may serve before we hear so.
		if ch != nil && ch.generation == g && !ch.ending && p.sys.slotState(slot) == mpm.StateStarting {
			p.end(ch, syscall.SIGTERM, now)
		}
	}
	p.retired = append(p.retired, g)
}

// bound releases the retired generations without children, and ends the
// children of those whose time is up, or which are too many.
func (p *Parent) bound(now time.Time, next *wakeUp) {
	kept := p.retired[:0]
	for _, g := range p.retired {
		if g.children == 0 {
			p.log.Info("generation ended", "generation", g.number)
			p.endGeneration(g)
			continue
		}
		if due(g.deadline, now) {
			p.log.Warn("ending children that still serve", "generation", g.number,
				"children", g.children, "graceful_restart_timeout", g.options.GracefulRestartTimeout)
			g.deadline = time.Time{}
			p.endAll(g, now)
		}
		next.at(g.deadline)
		kept = append(kept, g)
	}
	clear(p.retired[len(kept):])
	p.retired = kept
	if p.serving != nil && !p.stopping && p.winding == nil {
		p.thin(p.serving.options.MaxOldGenerations, now, next)
	}
}

// thin ends the oldest of the retired generations that still serve until there
// are at most so many; 0 is no limit. One that was retired just now and is idle
// does not count, since it leaves by itself, nor does one that never served.
func (p *Parent) thin(most int, now time.Time, next *wakeUp) {
	if most == 0 || len(p.retired) <= most {
		return
	}
	var lasting []*generation // oldest first
	for _, g := range p.retired {
		leaves := g.retiredAt.Add(handoverTimeout)
		switch live, busy := p.living(g); {
		case g.ended || !g.served || live == 0:
		case busy == 0 && now.Before(leaves):
			next.at(leaves)
		default:
			lasting = append(lasting, g)
		}
	}
	for _, g := range lasting[:max(0, len(lasting)-most)] {
		p.log.Warn("ending children that still serve: there are more old generations than mpm.max_old_generations",
			"generation", g.number, "children", g.children, "max_old_generations", most)
		p.endAll(g, now)
	}
}

// living counts the children of g that have not ended, and those among them
// that serve.
func (p *Parent) living(g *generation) (live, busy int) {
	for slot, ch := range p.slots {
		if ch == nil || ch.generation != g || ch.reaped {
			continue
		}
		live++
		if p.sys.slotState(slot).Busy() {
			busy++
		}
	}
	return live, busy
}

// endAll ends the children of g now, whatever they serve.
func (p *Parent) endAll(g *generation, now time.Time) {
	g.ended = true
	for _, ch := range p.slots {
		if ch != nil && ch.generation == g {
			p.end(ch, syscall.SIGTERM, now)
		}
	}
}
