package prefork

import (
	"syscall"
	"time"
)

// The bounds of simulated time that the checks below hold the master to. They
// follow from the most that randomOptions allows, and count only the time in
// which the master was not stopped.
const (
	// simReloadMax: a candidate of 1000 steps too many, killed in vain; three
	// children made up for, each at the last moment; the handover. Twice,
	// since a request may wait for the reload before it, which may be undone.
	simReloadMax = 2*(100*time.Second+simProofMax) + simProofMax
	// simProofMax is how long it takes to get a generation to serve.
	simProofMax = 4*11*time.Second + handoverTimeout
	simSlack    = time.Second
	// simCalm is how long after the last fault there are enough children.
	simCalm = 45 * time.Second
	// simStart is how long after a slot is free there is a child in it: a cycle
	// of maintenance, the slowest start, and the doubling.
	simStart = 12 * time.Second
	// simIdleLoops is how many turns the master may take at one time with
	// nothing new to see.
	simIdleLoops = 50
)

// checkSpawn holds what a spawn must not do.
func (w *simWorld) checkSpawn(slot int, number uint64, f *simFiles) {
	switch {
	case number != f.number:
		w.violated("a child of generation %d gets the files of %d", number, f.number)
	case f.over || f.released:
		w.violated("generation %d is retired and grows", number)
	case w.parent.stopping:
		w.violated("a child is spawned during a stop")
	case slot < 0 || slot >= w.limit:
		w.violated("slot %d of %d is used", slot, w.limit)
	}
	for _, p := range w.live {
		if p.slot == slot && !p.candidate {
			w.violated("slot %d is given away while process %d owns it", slot, p.number)
		}
	}
}

// checkSignal holds who may be signalled.
func (w *simWorld) checkSignal(p *simProc, sig syscall.Signal) {
	switch {
	case p.released:
		w.violated("signal %v to process %d after its release", sig, p.number)
	case p.reaped:
		w.violated("signal %v to process %d, which was reaped", sig, p.number)
	case p.candidate || p.lies || p.ended:
	case w.parent.stopping || w.hard:
	case !p.ready || p.mute || p.closed:
	default:
		f := p.files
		patience := f.options.GracefulRestartTimeout
		late := f.over && !f.wound && patience > 0 && w.at-f.overAt >= patience
		if !late && !w.tooOld(f) {
			w.violated("signal %v to process %d, which is ready (connections: %d) and may serve on", sig, p.number, p.conns)
		}
	}
}

// tooOld reports whether f may be ended because there are so many old
// generations after it.
func (w *simWorld) tooOld(f *simFiles) bool {
	serving := w.parent.serving
	return serving != nil && f.over && serving.options.MaxOldGenerations > 0 &&
		w.old(func(p *simProc) bool { return p.files.number > f.number }) >= serving.options.MaxOldGenerations
}

// old counts the retired generations with a live child for which fits is true.
func (w *simWorld) old(fits func(p *simProc) bool) int {
	seen := make(map[*simFiles]bool)
	for _, p := range w.live {
		if f := p.files; f != nil && f.opened && f.over && fits(p) {
			seen[f] = true
		}
	}
	return len(seen)
}

// checkOld holds that the bound of old generations is kept.
func (w *simWorld) checkOld() {
	g := w.parent.serving
	if g == nil || w.parent.winding != nil || w.parent.stopping || g.options.MaxOldGenerations == 0 {
		return
	}
	since := w.active() - handoverTimeout - simSlack
	n := w.old(func(p *simProc) bool { return !p.dead && !p.ended && p.files.overAt < since })
	if n > g.options.MaxOldGenerations && w.gens[g.number-1].openedAt < since {
		w.violated("%d old generations serve, more than max_old_generations %d", n, g.options.MaxOldGenerations)
	}
}

// checkRetire holds that the end of a graceful stop leaves nobody in a queue.
func (w *simWorld) checkRetire(f *simFiles) {
	if w.parent.winding == nil || !f.opened {
		return
	}
	f.wound = true
	if w.waiting > 0 && !w.leaky && !w.parent.stopping {
		w.violated("%d connections wait in the queue when the listeners are closed", w.waiting)
	}
}

// checkWinding holds that a graceful stop ends at its bound, and after the last
// child.
func (w *simWorld) checkWinding() {
	if w.parent.winding == nil || w.parent.stopping {
		w.emptyAt = 0
		return
	}
	if d := w.parent.winding.deadline; !d.IsZero() && w.wake.After(d) {
		w.violated("the master sleeps over the end of a graceful stop")
	}
	switch {
	case len(w.live) > 0 || w.parent.serving != nil:
		w.emptyAt = 0
	case w.emptyAt == 0:
		w.emptyAt = w.active()
	case w.active()-w.emptyAt > reportPatience+simSlack:
		w.violated("a graceful stop goes on without children")
	}
}

// checkBack holds that a generation that comes back was the last good one, and
// that there was a reason.
func (w *simWorld) checkBack(s Status) {
	b := s.RollBack
	if b == nil {
		return
	}
	w.backs++
	w.note("went back to", nil, int(b.To))
	if b.To >= b.From || b.From >= s.Generation {
		w.violated("generation %d took the place of %d, as %d", s.Generation, b.From, b.To)
		return
	}
	from := w.gens[b.From-1]
	if w.gens[s.Generation-1].image != w.gens[b.To-1].image || s.Image != w.gens[b.To-1].image {
		w.violated("generation %d does not run the image of %d", s.Generation, b.To)
	}
	within := 0
	for _, at := range from.badEnds {
		if at-from.openedAt <= from.options.ProveTime {
			within++
		}
	}
	if want := from.options.ProveDeaths; want == 0 || within < want {
		w.violated("generation %d was given up after %d bad deaths of %d", b.From, within, want)
	}
}

// checkOpen holds that a generation serves only when its children can.
func (w *simWorld) checkOpen(f *simFiles) {
	if f.opened || f.over || f.released {
		w.violated("the gate of generation %d opens (opened %v, over %v, released %v)", f.number, f.opened, f.over, f.released)
	}
	children := 0
	for _, p := range w.all {
		if p.files != f || p.released {
			continue
		}
		children++
		if !p.ready || p.reaped || p.mute {
			w.violated("the gate of generation %d opens while process %d is not ready (reaped: %v)", f.number, p.number, p.reaped)
		}
	}
	if children == 0 {
		w.violated("the gate of generation %d opens without children", f.number)
	}
}

func (w *simWorld) checkRelease(f *simFiles) {
	if f.released {
		w.violated("generation %d is released twice", f.number)
	}
	for _, p := range w.live {
		if p.files == f {
			w.violated("generation %d is released before process %d has ended", f.number, p.number)
		}
	}
}

// nowServing holds what the end of a reload means.
func (w *simWorld) nowServing(s Status) {
	w.note("reload done", nil, int(s.Generation))
	if s.Generation <= w.youngest {
		w.violated("generation %d serves after %d", s.Generation, w.youngest)
	}
	w.youngest = s.Generation
	w.checkBack(s)
	w.hard = w.hard && w.parent.queued != nil && w.parent.queued.hard
	for _, p := range w.live {
		if p.accepts() && p.files.number < s.Generation && !p.lies && w.active()-p.files.overAt < handoverTimeout-simSlack {
			w.violated("generation %d serves while process %d of %d accepts", s.Generation, p.number, p.files.number)
		}
	}
}

// checkAll holds what is true after every step.
func (w *simWorld) checkAll() {
	w.checkTable()
	w.checkOld()
	w.checkWinding()
	if g := w.parent.serving; g != nil {
		w.prints[g.blueprint] = true
	}
	w.checkBuckets()
	for _, p := range w.live {
		if p.ended && !p.killed && !p.dead && !p.candidate && w.active()-p.termed > p.files.options.KillTimeout+simSlack {
			w.violated("process %d was told to end %s ago and is not killed", p.number, w.active()-p.termed)
		}
	}
	for _, a := range w.asks {
		w.checkAnswer(a)
	}
	if w.idle > simIdleLoops && w.wake.Before(w.now().Add(time.Microsecond)) && !w.wake.IsZero() {
		w.violated("the master spins")
	}
	w.checkMost()
}

// checkMost holds how many children the serving generation has; those of many
// threads that are leaving do not count, and those that lie may be any.
func (w *simWorld) checkMost() {
	g := w.parent.serving
	if g == nil {
		return
	}
	count := g.children
	for _, ch := range w.parent.slots {
		if ch == nil || ch.generation != g || !w.threaded {
			continue
		}
		if p := ch.proc.(*simProc); p.lies || p.leaves {
			count--
		}
	}
	if most := g.options.ChildrenMax(); count > most {
		w.violated("generation %d has %d children, more than max_request_workers allows (%d)", g.number, count, most)
	}
}

// checkTable compares the master's table of children with the world.
func (w *simWorld) checkTable() {
	known, inGenerations := 0, 0
	for slot, ch := range w.parent.slots {
		if ch == nil {
			continue
		}
		known++
		if ch.slot != slot || w.parent.byPID[ch.proc.pid()] != ch {
			w.violated("slot %d and the table of processes disagree on process %d", slot, ch.proc.pid())
		}
	}
	if w.parent.freeSlots() == 0 {
		w.crowded = w.active()
	}
	if known != len(w.parent.byPID) {
		w.violated("%d children are in slots, %d in the table of processes", known, len(w.parent.byPID))
	}
	children := 0
	for _, p := range w.live {
		if !p.candidate {
			children++
			if w.parent.byPID[p.number] == nil {
				w.violated("process %d is forgotten before it is reaped", p.number)
			}
		}
	}
	if children > w.limit {
		w.violated("%d children, more than server_limit %d", children, w.limit)
	}
	for _, g := range w.parent.retired {
		inGenerations += g.children
	}
	if g := w.parent.serving; g != nil {
		inGenerations += g.children
	}
	if r := w.parent.reload; r != nil && r.next != nil {
		inGenerations += r.next.children
	}
	if inGenerations != known {
		w.violated("generations count %d children, slots %d", inGenerations, known)
	}
}

// checkAnswer holds that a request is answered once, and in time.
func (w *simWorld) checkAnswer(a *simAsk) {
	select {
	case r := <-a.reply:
		if a.done {
			w.violated("a request is answered twice: %+v", r)
		}
		a.done = true
		w.answers++
	default:
	}
	if !a.done && a.what != Stop && a.what != GracefulStop && w.active()-a.at > simReloadMax {
		w.violated("a request is not answered within %s", simReloadMax)
	}
}

// checkIdle holds that there are enough children after quiet times.
func (w *simWorld) checkIdle() {
	g := w.parent.serving
	if g == nil || g.full || w.waiting > 0 || w.active()-w.crowded < simStart { // or whoever gets ready serves at once
		return
	}
	share := g.options.Share()
	total := 0
	idle := make([]int, g.options.BucketCount())
	for _, p := range w.live {
		if p.files == nil || p.files.number != g.number {
			continue
		}
		total++
		if !p.dead && p.ready && !p.mute {
			ready, _ := w.slotThreads(p.slot)
			idle[p.bucket] += ready
		}
	}
	for b, n := range idle {
		if n < share.SpareMin() && total < g.options.ChildrenMax() && w.parent.freeSlots() > 0 {
			w.violated("%d threads of bucket %d are idle, of %d children in all, after %s without faults, want %d", n, b, total, simCalm, share.SpareMin())
		}
	}
}

// checkEnd holds what is true when the master has ended.
func (w *simWorld) checkEnd() {
	for _, a := range w.asks {
		w.checkAnswer(a)
		if !a.done {
			w.violated("a request is not answered when the master ends")
		}
	}
	for _, p := range w.all {
		if !w.unkilled && (!p.reaped || !p.released) {
			w.violated("process %d is left (reaped %v, released %v)", p.number, p.reaped, p.released)
		}
	}
	for b := range w.prints {
		if !w.unkilled && b.users != 0 {
			w.violated("an image has %d users after the end", b.users)
		}
	}
	for _, f := range w.gens {
		if !w.unkilled && !f.released {
			w.violated("generation %d is not released", f.number)
		}
	}
}
