package prefork

import "time"

// A child that dies is made up for at once, and so is the next one. Those of a
// generation that keep dying young, or that cannot even be started, are made up
// for more and more slowly: such an episode is told when it begins and when it
// is over, and each death in it only in its own line.

// replace sees to it that a dead child of the serving generation is made up
// for: at once, unless children keep dying young.
func (p *Parent) replace(ch *child, now time.Time) {
	g := ch.generation
	g.maintenance = now
	if ch.status.clean() && ch.ready {
		g.pools[ch.bucket].leaving = time.Time{}
		return
	}
	// The kernel wakes one child for a connection. If it was this one, and it
	// died before it could accept, nobody else would come.
	if !g.foreign { // whose children may know no other byte than the one to leave
		g.files.lookAgain(ch.bucket)
	}
	gaveUp := ch.status.code() == ExitSick || ch.status.code() == ExitFatal
	if !gaveUp && p.proved(ch, now) {
		if young(ch, now) {
			g.failures = 0
		}
		return
	}
	p.slowDown(g, 0, now)
}

// slowDown notes a failure of g, and puts off its next spawn, by least or more.
func (p *Parent) slowDown(g *generation, least time.Duration, now time.Time) {
	if !g.troubled(now) || p.lives(g, now) {
		g.failures = 0
	}
	g.failures++
	g.failed = now
	g.singly()
	g.notBefore = now.Add(max(least, p.jittered(backoff(g.failures))))
	if g.failures > 2 && !g.slowed {
		g.slowed = true
		p.log.Warn("children die young or cannot be started; spawning more and more slowly until they live",
			"generation", g.number, "failures", g.failures)
		p.tellSpawning(g, now)
	}
}

// jittered is a pause of up to a quarter less, so that servers that lack the
// same thing do not all try again at the same moment.
func (p *Parent) jittered(pause time.Duration) time.Duration {
	return pause - time.Duration(p.cfg.Jitter()*float64(pause/4))
}

// troubled reports whether the last failure of g is not yet forgotten.
func (g *generation) troubled(now time.Time) bool {
	return now.Sub(g.failed) <= calm+backoff(g.failures)
}

// recovered ends an episode of failures.
func (p *Parent) recovered(g *generation, now time.Time) {
	if !g.slowed || g.troubled(now) {
		return
	}
	p.log.Info("children live again", "generation", g.number, "failures", g.failures)
	g.slowed, g.failures, g.spawnFault = false, 0, ""
	p.tellSpawning(g, now)
}

// spawnFailed notes that a child of g could not be started. The system lacks
// something then, and will for a while: nobody is ended for it, and the master
// goes on with everything else meanwhile.
func (p *Parent) spawnFailed(g *generation, err error, now time.Time) {
	if fault := err.Error(); fault != g.spawnFault || !g.troubled(now) {
		g.spawnFault = fault
		p.log.Error("cannot spawn child", "generation", g.number, "err", err)
	}
	p.slowDown(g, time.Second, now)
}

func (p *Parent) tellSpawning(g *generation, now time.Time) {
	if p.cfg.Spawning != nil {
		p.cfg.Spawning(g.number, g.spawning(now))
	}
}

// spawning is how it goes with new children.
func (g *generation) spawning(now time.Time) SpawnStatus {
	s := SpawnStatus{Full: g.full, Slowed: g.slowed}
	if g.troubled(now) {
		s.Failures = g.failures
		s.PausedSeconds = max(0, g.notBefore.Sub(now).Seconds())
	}
	return s
}
