package prefork

import (
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
)

// step is one turn of the master's loop, as in Master.Run: the clock goes on
// to the next thing that happens, and if the master learns of it, it acts. Only
// then it counts.
func (w *simWorld) step() {
	timer := w.wake.Sub(simEpoch)
	armed := !w.wake.IsZero()
	next := w.at
	if len(w.inbox) == 0 && !w.chld {
		switch {
		case armed && (len(w.due) == 0 || timer < w.due[0].at):
			next = timer
		case len(w.due) > 0:
			next = w.due[0].at
		case w.parent.winding != nil && w.pick(func(p *simProc) bool { return p.hung }) != nil:
			w.ask(Stop) // the operator waits no longer for a child that hangs
		default:
			w.violated("the master waits for something that will never happen")
			return
		}
	}
	if next > w.at {
		w.at, w.idle = next, 0
	}
	w.happen()
	now := w.now()
	woken := armed && !now.Before(w.wake)
	switch {
	case w.chld && (len(w.inbox) == 0 || w.rng.IntN(2) == 0):
		w.chld = false
		w.parent.handle(childrenEnded{}, now)
		w.idle = 0
	case len(w.inbox) > 0:
		w.idle = 0
	case !woken:
		return // nothing of this reaches the master
	default:
		w.idle++
	}
	w.steps++
	for i := 0; i < len(w.inbox); i++ {
		w.parent.handle(w.inbox[i], now)
	}
	w.inbox = w.inbox[:0]
	w.wake = w.parent.advance(now)
	w.checkAll()
}

// do lets one thing happen.
func (w *simWorld) do(it simItem) {
	p := it.p
	switch it.what {
	case actStimulus:
		w.stimulate()
	case actReady:
		p.getReady()
	case actDie:
		// A crash that was to be is none in quiet times; signals are, and
		// so is leaving.
		if !p.candidate && w.quiet && !p.leaves && !p.ended && !p.killed && p.ready {
			return
		}
		if code := exitStatus(it.n).code(); !p.dead && !p.closed && (code == ExitFatal || code == ExitSick) && !p.candidate {
			w.tell(p, childSaid{pid: p.number, fail: "a reason"})
		}
		p.die(syscall.WaitStatus(it.n))
	case actTell:
		w.inbox = append(w.inbox, it.ev)
	case actChld:
		w.chld = true
	case actLie:
		if !p.dead {
			w.states[p.slot] = mpm.State(w.rng.IntN(int(mpm.StateIdleKill) + 1))
			w.conns[p.slot] = w.rng.IntN(p.threads() + 1)
			w.note("lies", p, int(w.states[p.slot]))
			if !w.quiet {
				w.after(w.upTo(5*time.Second), simItem{what: actLie, p: p})
			}
		}
	case actConnEnd:
		p.connEnds()
	case actNotice:
		p.look()
	case actTake:
		w.take(uint64(it.n), it.b)
	case actCandidate:
		p.goOn()
	case actClose:
		p.closeReport()
	case actHandshake:
		if w.parent.winding != nil && w.parent.serving == nil && !w.parent.stopping {
			w.violated("a connection that was on its way finds the listeners closed")
		}
		w.arrive()
	}
}

// take lets one idle child of a bucket take the byte that makes it leave.
func (w *simWorld) take(number uint64, bucket int) {
	if p := w.pick(func(p *simProc) bool { return p.accepts() && p.files.number == number && p.bucket == bucket }); p != nil {
		p.leave()
	}
}

// pick is some live process that fits.
func (w *simWorld) pick(fits func(p *simProc) bool) *simProc {
	n := len(w.live)
	if n == 0 {
		return nil
	}
	from := w.rng.IntN(n)
	for i := range n {
		if p := w.live[(from+i)%n]; !p.dead && fits(p) {
			return p
		}
	}
	return nil
}

// stimulate lets something come from outside, and the next thing after it.
func (w *simWorld) stimulate() {
	if w.quiet {
		return
	}
	mean := 30 * time.Millisecond
	if w.storm {
		return
	}
	w.after(w.upTo(2*mean), simItem{what: actStimulus})
	switch n := w.rng.IntN(1000); {
	case n < 12:
		w.ask(Reload)
	case n < 16:
		w.ask(Restart)
	case n == 16 && w.rng.IntN(5) == 0:
		w.ask([...]Request{Stop, GracefulStop}[w.rng.IntN(2)])
	case n == 17:
		w.ask(ReopenLogs)
	case n < 20:
		w.unknown++
		w.chld = true
	case n < 60:
		if w.chance(w.faults.strangers) {
			if p := w.pick(func(*simProc) bool { return true }); p != nil {
				w.note("killed by a stranger", p, 0)
				p.kill([...]syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGSEGV}[w.rng.IntN(3)])
			}
		}
	case n < 120:
		if w.at > w.pauseOK && w.chance(w.faults.pauses) {
			w.pause(w.upTo(20 * time.Second))
		}
	case n < 130:
		for range w.rng.IntN(30) {
			w.connect()
		}
	default:
		w.connect()
	}
}

// connect is a client that wants a connection.
func (w *simWorld) connect() {
	if !w.drained {
		w.arrive()
	}
}

// arrive is a connection that gets into a queue.
func (w *simWorld) arrive() {
	b := w.rng.IntN(w.buckets)
	if p := w.pick(func(p *simProc) bool { return p.accepts() && p.watches(b) }); p != nil {
		p.serve()
	} else if w.waiting < 50 {
		w.waiting++
		w.backlog[b]++
	}
}

// simAsk is a request and what became of it.
type simAsk struct {
	what  Request
	at    time.Duration // in active time
	reply chan Result
	done  bool
}

func (w *simWorld) ask(what Request) {
	w.note([...]string{Reload: "asks: reload", Restart: "asks: restart", Stop: "asks: stop", GracefulStop: "asks: graceful stop", ReopenLogs: "asks: reopen logs"}[what], nil, 0)
	a := &simAsk{what: what, at: w.active(), reply: make(chan Result, 2)} // room for an answer too many
	w.asks = append(w.asks, a)
	if what == Restart {
		w.hard = true
	}
	w.inbox = append(w.inbox, requested{what, a.reply})
}
