package prefork

import (
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/image"
)

// simProc is a child or a candidate.
type simProc struct {
	w         *simWorld
	number    int
	slot      int
	bucket    int
	files     *simFiles // nil for a candidate
	candidate bool
	status    syscall.WaitStatus

	dead, reaped, released bool
	closed                 bool          // its report is
	told                   time.Duration // when its last word reaches the master
	closeAfter             time.Duration // from death to the end of the report; less than 0 is never

	// What is wrong with it.
	deaf, stuck, lies, mute, hung bool
	slowTerm                      time.Duration

	ready  bool // it can accept, and has said so unless it is mute
	conns  int  // that it serves
	leaves bool // it has decided to
	served int

	termed time.Duration // when it was first told to end, in active time
	ended  bool          // it was signalled by the master
	killed bool

	plan simPlan // of a candidate
}

func (p *simProc) pid() int { return p.number }

func (p *simProc) release() {
	w := p.w
	switch {
	case p.released:
		w.violated("process %d is released twice", p.number)
	case !p.reaped && (!p.candidate || !p.stuck):
		w.violated("process %d is released before it is reaped", p.number)
	}
	p.released = true
	if !p.closed {
		p.closeReport() // the reader of the report ends, and says so
	}
}

// signal is the master's; see also kill.
func (p *simProc) signal(sig syscall.Signal) error {
	p.w.note("signal", p, int(sig))
	p.w.checkSignal(p, sig)
	if !p.ended {
		p.ended, p.termed = true, p.w.active()
	}
	p.kill(sig)
	return nil
}

// kill is what a signal does, whoever sends it.
func (p *simProc) kill(sig syscall.Signal) {
	w := p.w
	if p.dead {
		return
	}
	delay := w.upTo(5 * time.Millisecond)
	switch {
	case p.killed && p.stuck:
		return
	case sig == syscall.SIGKILL && p.stuck:
		w.unkilled = true
		delay = 5*time.Second + w.upTo(time.Minute)
	case sig == syscall.SIGKILL:
	case p.deaf:
		return
	default:
		delay += p.slowTerm
	}
	if sig == syscall.SIGKILL {
		p.killed = true
	}
	w.after(delay, simItem{what: actDie, p: p, n: int(sig)})
}

func (p *simProc) die(status syscall.WaitStatus) {
	if p.dead {
		return
	}
	w := p.w
	w.note("dies", p, int(status))
	p.dead, p.conns, p.status = true, 0, status
	w.dead = append(w.dead, p)
	w.after(w.delay(), simItem{what: actChld})
	if !p.closed && p.closeAfter >= 0 {
		w.after(p.closeAfter, simItem{what: actClose, p: p})
	}
}

func (p *simProc) closeReport() {
	if p.closed {
		return
	}
	p.closed = true
	if p.candidate {
		p.w.tell(p, candidateClosed{p.number})
		return
	}
	p.w.tell(p, childClosed{p.number})
}

func (p *simProc) state(s mpm.State) {
	if !p.lies {
		p.w.states[p.slot] = s
		p.w.conns[p.slot] = p.conns
	}
}

// threads is how many connections p can serve at once.
func (p *simProc) threads() int { return p.files.options.Threads() }

// serves is the state of one that is ready.
func (p *simProc) serves() mpm.State {
	if p.conns < p.threads() {
		return mpm.StateReady
	}
	return mpm.StateReading
}

// accepts reports whether p would take a connection that comes now.
func (p *simProc) accepts() bool {
	return !p.dead && p.ready && !p.leaves && !p.hung && p.files != nil && p.files.opened && p.conns < p.threads()
}

// watches reports whether p watches a bucket's sockets: its own, and those left
// of more buckets than its generation has.
func (p *simProc) watches(bucket int) bool {
	return bucket%p.files.options.BucketCount() == p.bucket
}

// getReady is the end of a child's start.
func (p *simProc) getReady() {
	if p.dead {
		return
	}
	p.ready = true
	p.w.note("is ready", p, 0)
	p.state(mpm.StateReady)
	if !p.mute && !p.closed {
		p.w.tell(p, childSaid{pid: p.number, ready: true})
	}
	p.look()
}

// look is what a child does next that has a free thread.
func (p *simProc) look() {
	switch w := p.w; {
	case p.dead || !p.ready || p.leaves || p.hung || !w.threaded && p.conns > 0:
	case p.files.over:
		p.leave()
	case p.files.options.MaxConnectionsPerChild > 0 && p.served >= p.files.options.MaxConnectionsPerChild:
		p.leave()
	case p.accepts():
		for b := range w.backlog {
			if w.backlog[b] > 0 && p.watches(b) {
				w.backlog[b]--
				w.waiting--
				p.serve()
				return
			}
		}
	}
}

func (p *simProc) leave() {
	p.leaves = true
	p.state(mpm.StateGraceful)
	if p.conns == 0 {
		p.w.after(p.w.upTo(3*time.Millisecond), simItem{what: actDie, p: p})
	}
}

func (p *simProc) serve() {
	p.conns++
	p.served++
	p.state(p.serves())
	w := p.w
	lasts := w.upTo(400 * time.Millisecond)
	if w.rng.IntN(30) == 0 {
		lasts = w.upTo(time.Minute)
	}
	w.after(lasts, simItem{what: actConnEnd, p: p})
	if p.threads() > 1 {
		p.look()
	}
}

// connEnds is the end of one of its connections.
func (p *simProc) connEnds() {
	if p.conns == 0 {
		return
	}
	p.conns--
	switch {
	case !p.leaves:
		p.state(p.serves())
		p.look()
	case p.conns == 0:
		p.w.after(p.w.upTo(3*time.Millisecond), simItem{what: actDie, p: p})
	default:
		p.state(mpm.StateGraceful)
	}
}

// simCandidate gives a candidate its result.
type simCandidate struct{ *simProc }

func (c simCandidate) result() (*image.Image, *mpm.Options, error) {
	if c.plan.badResult {
		return nil, nil, errFake
	}
	o := c.w.randomOptions()
	c.w.options = o
	return new(image.Image), &o, nil
}

// simFiles are what the children of a generation share.
type simFiles struct {
	w        *simWorld
	number   uint64
	options  *mpm.Options
	image    *image.Image
	badEnds  []time.Duration // when a child was reaped that ended badly, in active time, since the gate opened
	opened   bool
	openedAt time.Duration // in active time
	over     bool
	overAt   time.Duration // in active time
	released bool
	wound    bool // by a graceful stop
}

func (f *simFiles) sockets() []Socket { return nil }

func (f *simFiles) open() {
	f.w.checkOpen(f)
	f.w.note("gate opens", nil, int(f.number))
	f.opened, f.openedAt = true, f.w.active()
	f.w.buckets, f.w.empty = f.options.BucketCount(), [4]time.Duration{}
	for _, p := range f.w.live {
		if p.files == f {
			p.look()
		}
	}
}

func (f *simFiles) retireOne(bucket int) error {
	f.w.note("one is to leave", nil, int(f.number))
	if f.w.chance(f.w.faults.noPod) {
		return errFake
	}
	f.w.after(f.w.delay(), simItem{what: actTake, n: int(f.number), b: bucket})
	return nil
}

func (f *simFiles) quarantine(int, bool) {}

func (f *simFiles) sweep(time.Time) error {
	if f.w.chance(f.w.faults.noPod) {
		return errFake
	}
	return nil
}

func (f *simFiles) lookAgain(int) {
	if f.released || f.over {
		f.w.violated("children of generation %d are to look, which is over", f.number)
	}
}

func (f *simFiles) retire() {
	w := f.w
	if f.over {
		w.violated("generation %d is retired twice", f.number)
	}
	w.note("generation is over", nil, int(f.number))
	f.over, f.overAt = true, w.active()
	w.checkRetire(f)
	for _, p := range w.live {
		if p.files == f {
			w.after(w.upTo(3*time.Millisecond), simItem{what: actNotice, p: p})
		}
	}
}

func (f *simFiles) release() {
	f.w.checkRelease(f)
	f.w.note("generation is released", nil, int(f.number))
	f.released = true
}

// drain refuses new connections. Handshakes under way come to their end.
func (f *simFiles) drain() error {
	w := f.w
	w.note("queues are shut", nil, int(f.number))
	if w.chance(w.faults.noDrain) {
		w.leaky = true
		return errFake
	}
	w.drained = true
	for range w.rng.IntN(5) {
		w.after(w.upTo(settleTime-10*time.Millisecond), simItem{what: actHandshake})
	}
	return nil
}

func (f *simFiles) waiting() (bool, error) {
	if f.w.leaky && f.w.rng.IntN(20) == 0 {
		return false, errFake
	}
	return f.w.waiting > 0, nil
}
