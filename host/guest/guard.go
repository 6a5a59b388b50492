package guest

import (
	"time"

	"github.com/apphost/apphost/mpm"
)

// Guard tells the model when the code of a guest runs, so that one that does not
// come back can be ended with its process. The zero value tells nobody. Sessions
// embed one.
type Guard struct {
	watch  mpm.Watched
	name   string
	budget time.Duration
}

// NewGuard makes a guard for runs of the plugin called name, each stretch of which
// between two calls of the host may take budget; 0 is without bound. watch may be
// nil.
func NewGuard(watch mpm.Watched, name string, budget time.Duration) Guard {
	return Guard{watch, name, budget}
}

func (g *Guard) guard() *Guard { return g }

// run is called before the guest's code runs.
func (g *Guard) run() {
	if g.watch != nil {
		g.watch.Run(g.name, g.budget)
	}
}

// pause is called when it has come back, or calls the host.
func (g *Guard) pause() {
	if g.watch != nil {
		g.watch.Pause()
	}
}

// resume is called before the host returns to it.
func (g *Guard) resume() {
	if g.watch != nil {
		g.watch.Resume()
	}
}

// guarded is a session that embeds a Guard.
type guarded interface{ guard() *Guard }

// guardOf is the guard of a session, or one that tells nobody.
func guardOf(s Session) *Guard {
	if g, ok := s.(guarded); ok {
		return g.guard()
	}
	return new(Guard)
}
