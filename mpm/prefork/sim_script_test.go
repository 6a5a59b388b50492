package prefork

import (
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
)

// simFaults are how often things go wrong in one world, in thousandths. Each
// world has only some of the faults: together they would hide each other.
type simFaults struct {
	noCandidate, noOpen, noSpawn, noPod              int
	crashEarly, cannotServe, cleanEarly, neverReady  int
	crashLate, crashYoung, deaf, slowTerm, stuck     int
	lies, mute, hung, closeLate, closeNever, shut    int
	candidateFails, candidateHangs, candidateCrashes int
	candidateFloods, badResult, limitChanges         int
	strangers, pauses, noDrain                       int
}

func newSimFaults(rng *rand.Rand) simFaults {
	some := func(most int) int {
		if rng.IntN(2) == 0 {
			return 0
		}
		return rng.IntN(most + 1)
	}
	return simFaults{
		noCandidate: some(100), noOpen: some(100), noSpawn: some(200), noPod: some(500),
		crashEarly: some(200), cannotServe: some(100), cleanEarly: some(100), neverReady: some(50),
		crashLate: some(500), crashYoung: some(200), deaf: some(300), slowTerm: some(300), stuck: some(20),
		lies: some(200), mute: some(50), hung: some(50), closeLate: some(200), closeNever: some(100), shut: some(50),
		candidateFails: some(200), candidateHangs: some(100), candidateCrashes: some(200),
		candidateFloods: some(50), badResult: some(100), limitChanges: some(50),
		strangers: some(100), pauses: some(50), noDrain: some(200),
	}
}

// chance is true in so many of a thousand cases, and never in quiet times.
func (w *simWorld) chance(thousandths int) bool {
	return thousandths > 0 && !w.quiet && w.rng.IntN(1000) < thousandths
}

// randomOptions are those of the next generation; only server_limit stays.
func (w *simWorld) randomOptions() mpm.Options {
	rng := w.rng
	seconds := func(most int) time.Duration { return time.Duration(1+rng.IntN(most)) * time.Second }
	o := mpm.Options{
		ServerLimit: w.limit, MaxRequestWorkers: 1 + rng.IntN(w.limit),
		StartTimeout: seconds(8), CandidateTimeout: seconds(5), KillTimeout: seconds(5),
	}
	if rng.IntN(2) == 0 {
		o.Buckets = 1 + rng.IntN(min(4, o.MaxRequestWorkers))
	}
	o.StartServers = 1 + rng.IntN(o.MaxRequestWorkers)
	o.MinSpareServers = 1 + rng.IntN(4)
	o.MaxSpareServers = o.MinSpareServers + 1 + rng.IntN(6)
	if w.threaded {
		threads := 1 + rng.IntN(5)
		o.Model, o.ThreadsPerChild = mpm.Worker, threads
		o.MaxRequestWorkers *= threads
		o.MinSpareThreads = 1 + rng.IntN(3*threads)
		o.MaxSpareThreads = o.MinSpareThreads + threads + rng.IntN(3*threads)
		o.MinSpareServers, o.MaxSpareServers = 0, 0
	}
	if rng.IntN(2) == 0 {
		o.GracefulRestartTimeout = seconds(20)
	}
	if rng.IntN(4) > 0 {
		o.GracefulShutdownTimeout = seconds(40)
	}
	if rng.IntN(2) == 0 {
		o.MaxOldGenerations = 1 + rng.IntN(3)
	}
	o.ProveTime, o.ProveDeaths = seconds(10), rng.IntN(4)
	if rng.IntN(3) == 0 {
		o.MaxConnectionsPerChild = 1 + rng.IntN(20)
	}
	if w.parent.slots != nil && w.chance(w.faults.limitChanges) {
		o.ServerLimit++
	}
	return o
}

// scriptChild decides what will become of a child that is spawned now.
func (w *simWorld) scriptChild(p *simProc) {
	f := &w.faults
	o := p.files.options
	p.closeAfter = w.delay()
	switch {
	case w.chance(f.closeLate):
		p.closeAfter = w.upTo(3 * time.Second)
	case w.chance(f.closeNever):
		p.closeAfter = -1
	}
	p.deaf, p.stuck, p.lies, p.hung = w.chance(f.deaf), w.chance(f.stuck), w.chance(f.lies), w.chance(f.hung)
	p.mute = w.chance(f.mute)
	p.deaf = p.deaf || p.stuck // it hangs in the kernel
	if w.chance(f.slowTerm) {
		p.slowTerm = w.upTo(2 * o.KillTimeout)
	}
	if w.storm {
		w.dieYoung(p)
		return
	}
	start := 5*time.Millisecond + w.upTo(500*time.Millisecond)
	if w.rng.IntN(20) == 0 {
		start = w.upTo(o.StartTimeout - time.Millisecond)
	}
	switch {
	case w.chance(f.crashEarly):
		w.after(w.upTo(start), simItem{what: actDie, p: p, n: w.anyStatus()})
	case w.chance(f.cannotServe):
		w.after(w.upTo(start), simItem{what: actDie, p: p, n: ExitFatal << 8})
	case w.chance(f.cleanEarly):
		w.after(w.upTo(start), simItem{what: actDie, p: p})
	case w.chance(f.neverReady):
	default:
		w.after(start, simItem{what: actReady, p: p})
		if w.chance(f.crashYoung) {
			w.after(start+w.upTo(time.Second), simItem{what: actDie, p: p, n: w.anyStatus()})
		} else if w.chance(f.crashLate) {
			w.after(start+w.upTo(time.Minute), simItem{what: actDie, p: p, n: w.anyStatus()})
		}
	}
	if w.chance(f.shut) {
		w.after(w.upTo(10*time.Second), simItem{what: actClose, p: p})
	}
	if p.lies {
		w.after(w.upTo(time.Second), simItem{what: actLie, p: p})
	}
}

// dieYoung is what all children do in a storm: end before they are ready,
// in some way, or crash soon after.
func (w *simWorld) dieYoung(p *simProc) {
	lives := w.upTo(900 * time.Millisecond)
	switch w.rng.IntN(4) {
	case 0:
		w.after(lives, simItem{what: actDie, p: p}) // by itself
		return
	case 1:
		w.after(w.upTo(lives), simItem{what: actReady, p: p})
	}
	w.after(lives, simItem{what: actDie, p: p, n: w.anyStatus()})
}

// anyStatus is how a process may end that should not.
func (w *simWorld) anyStatus() int {
	all := [...]int{2 << 8, ExitFatal << 8, ExitSick << 8, 1 << 8, int(syscall.SIGSEGV), int(syscall.SIGKILL), int(syscall.SIGTERM)}
	return all[w.rng.IntN(len(all))]
}

// simPlan is what a candidate will do.
type simPlan struct {
	says      []candidateSaid
	status    int
	hangs     bool // after it has said all
	flood     string
	badResult bool
}

func (w *simWorld) scriptCandidate(p *simProc) {
	f := &w.faults
	p.closeAfter = w.delay()
	if w.chance(f.closeLate) {
		p.closeAfter = w.upTo(3 * time.Second)
	} else if w.chance(f.closeNever) {
		p.closeAfter = -1
	}
	say := func(kind, text string) { p.plan.says = append(p.plan.says, candidateSaid{p.number, kind, text}) }
	if w.rng.IntN(2) == 0 {
		say(sayTimeout, (time.Second + w.upTo(4*time.Second)).String())
	}
	for range w.rng.IntN(5) {
		say(sayStep, "a step")
	}
	if w.rng.IntN(4) == 0 {
		say(sayWarning, "a warning")
	}
	switch {
	case w.chance(f.candidateFails):
		say(sayError, "a fault")
		p.plan.status = 1 << 8
	case w.chance(f.candidateHangs):
		p.plan.hangs = true
	case w.chance(f.candidateCrashes):
		p.plan.status = w.anyStatus()
	case w.chance(f.candidateFloods):
		p.plan.flood = []string{sayStep, sayTimeout, sayNote, "nonsense"}[w.rng.IntN(4)]
	default:
		say(sayDone, "")
	}
	p.plan.badResult = w.chance(f.badResult)
	w.after(w.upTo(10*time.Millisecond), simItem{what: actCandidate, p: p})
}

// goOn is a candidate's next word, or its end.
func (p *simProc) goOn() {
	w := p.w
	if p.dead {
		return
	}
	if len(p.plan.says) > 0 {
		w.note(p.plan.says[0].kind, p, 0)
		w.tell(p, p.plan.says[0])
		p.plan.says = p.plan.says[1:]
		w.after(w.upTo(200*time.Millisecond), simItem{what: actCandidate, p: p})
		return
	}
	switch {
	case p.plan.flood != "":
		w.tell(p, candidateSaid{p.number, p.plan.flood, "2s"})
		w.after(50*time.Millisecond, simItem{what: actCandidate, p: p})
	case !p.plan.hangs:
		p.die(syscall.WaitStatus(p.plan.status))
	}
}
