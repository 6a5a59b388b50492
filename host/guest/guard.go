package guest

import (
	"time"

	"github.com/apphost/apphost/mpm"
)

// Limits bound the runs of a plugin in time.
type Limits struct {
	cpu, wall time.Duration
	base      time.Time // what the guards' times count from: it is half of what time.Now costs
}

// NewLimits are limits of which 0 is without bound: cpu is for each stretch of the
// guest's own code between two calls of the host, wall for a turn of it, waiting
// included. A turn is a run, unless its session says otherwise; see Guard.Rest.
func NewLimits(cpu, wall time.Duration) Limits { return Limits{cpu, wall, time.Now()} }

// Guard tells the model when the code of a guest runs, so that one that does not
// come back can be ended with its process, and ends one whose turn takes too long
// when it calls the host. The zero value does neither. Sessions embed one.
type Guard struct {
	watch  mpm.Watched
	name   string
	limits Limits

	began   time.Duration // the turn, since the base of the limits
	resting time.Duration // since when no turn counts
	calls   uint          // of the host
	call    string        // the last one
}

// NewGuard makes a guard for a run of the plugin called name, whose first turn
// begins now. watch may be nil.
func NewGuard(watch mpm.Watched, name string, limits Limits) Guard {
	g := Guard{watch: watch, name: name, limits: limits}
	g.began = g.now()
	return g
}

func (g *Guard) guard() *Guard { return g }

// preparationMax is how long it may take to make an instance, and how long the plugin
// may run at a time meanwhile, where its own limit is not more.
const preparationMax = time.Minute

// prepare puts other limits in the place of a turn's while an instance is made, which
// is not the turn of the client who waits for it; begin puts them back, and begins it.
func (g *Guard) prepare() (begin func()) {
	limits := g.limits
	if limits.cpu > 0 {
		g.limits.cpu = max(limits.cpu, preparationMax)
	}
	if limits.wall > 0 {
		g.limits.wall = max(limits.wall, preparationMax)
	}
	g.began = g.now()
	return func() {
		g.limits = limits
		g.began = g.now()
	}
}

// now is the time, or 0 where nothing depends on it.
func (g *Guard) now() time.Duration {
	if g.limits.wall == 0 {
		return 0
	}
	return time.Since(g.limits.base)
}

// Rest stops the clock of the turn, until Work: what follows is not the guest's
// to answer for, such as a client that has nothing to say.
func (g *Guard) Rest() { g.resting = g.now() }

// Work lets the clock go on, or begins another turn.
func (g *Guard) Work(anew bool) {
	now := g.now()
	if anew {
		g.began = now
	} else {
		g.began += now - g.resting
	}
}

// Until is when the turn is over: no call of the host is to wait for longer. The
// zero time is never.
func (g *Guard) Until() time.Time {
	if g.limits.wall == 0 {
		return time.Time{}
	}
	return g.limits.base.Add(g.began + g.limits.wall)
}

// Sooner is t, or the end of the turn if that comes before. The zero time is never.
func (g *Guard) Sooner(t time.Time) time.Time {
	if until := g.Until(); t.IsZero() || !until.IsZero() && until.Before(t) {
		return until
	}
	return t
}

// overtimeError is how a guest ends whose turn is over; see Abort.
type overtimeError struct {
	limit time.Duration
	call  string
}

func (e *overtimeError) Error() string {
	return "took longer than " + e.limit.String() + ", in " + e.call
}

// EndOvertime ends the guest if its turn is over; see Abort. It is for host
// functions that end the guest for what the end of its turn may have caused.
func (g *Guard) EndOvertime() {
	if wall := g.limits.wall; wall != 0 && g.now()-g.began >= wall {
		panic(&overtimeError{wall, g.call})
	}
}

// callsPerLook is at how many calls of the host that do not wait the clock is
// looked at once: it costs as much as some of them do. A power of 2.
const callsPerLook = 8

// enter is called when the guest calls the host. A host function that may have to
// wait ends with EndOvertime.
func (g *Guard) enter(call string) {
	g.call = call
	if g.watch != nil {
		g.watch.Call(call)
	}
	if g.calls++; g.calls%callsPerLook == 0 {
		g.EndOvertime()
	}
}

// run is called before the guest's code runs.
func (g *Guard) run() {
	if g.watch != nil {
		g.watch.Run(g.name, g.limits.cpu)
	}
}

// Pause is called when the code has come back, and before the host does for it what
// may have to wait: that, until Resume, is not the guest's time. A host function
// calls it around nothing else, once it is known that there is something to wait for:
// a call that fails at once, or has nothing to do, is the guest's own time, or one
// that makes such calls for ever would never be found to run without end.
func (g *Guard) Pause() {
	if g.watch != nil {
		g.watch.Pause()
	}
}

// Resume is called when the wait is over.
func (g *Guard) Resume() {
	if g.watch != nil {
		g.watch.Resume()
	}
}

// goOn is called in the place of Resume if there was nothing to wait for.
func (g *Guard) goOn() {
	if g.watch != nil {
		g.watch.Continue()
	}
}

// guarded is a session that embeds a Guard.
type guarded interface{ guard() *Guard }

// guardOf is the guard of a session, or one that does nothing.
func guardOf(s Session) *Guard {
	if g, ok := s.(guarded); ok {
		return g.guard()
	}
	return new(Guard)
}
