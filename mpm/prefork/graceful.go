package prefork

import "time"

const (
	// settleTime is how long a handshake that was under way when the queues
	// were shut may take to its end: a round trip around the world.
	settleTime = 300 * time.Millisecond
	// drainPoll is how often to look whether the queues are empty.
	drainPoll = 20 * time.Millisecond
)

// windUp is a graceful stop. It has two phases.
//
// First nothing new gets into the queues of the listeners, while the serving
// generation goes on as ever, with new children where they are short: it is
// the one that empties the queues. A client that has a connection is thus
// served, and one that has none is refused in the end. Where accepting is deferred, a
// client has a connection once it has sent something: the kernel ends those of the
// others with the listener.
//
// When the queues have settled and are empty, the generation is retired as by
// a reload, and its listeners are closed. There is nothing in them to lose.
type windUp struct {
	settled  time.Time // handshakes under way have ended then
	deadline time.Time // a stop at once then; zero means never
}

// gracefulStop begins a graceful stop. Before anything serves it is a stop.
func (p *Parent) gracefulStop(now time.Time) {
	if p.stopping || p.winding != nil {
		return
	}
	g := p.serving
	if g == nil {
		p.stop(now)
		return
	}
	p.log.Info("stopping gracefully", "generation", g.number, "serving_connections", p.busyThreads())
	p.winding = &windUp{settled: now.Add(settleTime)}
	if limit := g.options.GracefulShutdownTimeout; limit > 0 {
		p.winding.deadline = now.Add(limit)
	}
	if p.cfg.Stopping != nil {
		p.cfg.Stopping(g.options.GracefulShutdownTimeout)
	}
	p.cancelReload(now)
	if err := g.files.drain(); err != nil {
		p.log.Warn("a connection that comes at the very end may be lost", "err", err)
	}
}

// wind moves a graceful stop along.
func (p *Parent) wind(now time.Time, next *wakeUp) {
	w := p.winding
	if w == nil || p.stopping {
		return
	}
	if due(w.deadline, now) {
		p.log.Warn("ending children that still serve", "children", len(p.byPID),
			"graceful_shutdown_timeout", w.deadline.Sub(w.settled.Add(-settleTime)))
		p.stop(now)
		return
	}
	next.at(w.deadline)
	if g := p.serving; g != nil {
		if now.Before(w.settled) || p.waiting(g) {
			next.at(now.Add(drainPoll))
			return
		}
		p.serving = nil
		p.retire(g, now)
		g.deadline = time.Time{} // graceful_shutdown_timeout is the one that counts
	}
	if len(p.byPID) == 0 && (p.reload == nil || p.reload.trial == nil) {
		p.stop(now) // of nothing, and so it is over
	}
}

// waiting reports whether a client of g waits to be accepted.
func (p *Parent) waiting(g *generation) bool {
	waiting, err := g.files.waiting()
	if err != nil {
		p.log.Warn("a connection that waits to be accepted may be lost", "err", err)
	}
	return waiting
}
