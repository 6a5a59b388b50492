package prefork

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// unkillable is how long after its kill a process may take to end; one that
// takes longer hangs in the kernel.
const unkillable = 10 * time.Second

// stop ends everything: children get SIGTERM now and SIGKILL after their kill
// timeout, a candidate is killed, and what waits for a reload is told.
func (p *Parent) stop(now time.Time) {
	if p.stopping {
		return
	}
	p.stopping = true
	longest := firstStepTimeout
	for _, ch := range p.slots {
		if ch != nil {
			p.end(ch, syscall.SIGTERM, now)
			longest = max(longest, ch.generation.options.KillTimeout)
		}
	}
	p.giveUpAt = now.Add(longest + unkillable)
	if p.cfg.Stopping != nil && p.serving != nil {
		p.cfg.Stopping(longest + unkillable)
	}
	p.cancelReload(now)
	p.answerNewLogs(p.stoppingResult())
}

// cancelReload ends the reload under way and the one that waits.
func (p *Parent) cancelReload(now time.Time) {
	p.endProbation()
	refusal := p.stoppingResult()
	if p.queued != nil {
		p.queued.answer(refusal)
		p.queued = nil
	}
	if p.awaited != nil {
		p.awaited.answer(refusal)
		p.awaited = nil
	}
	p.cancelDeparture()
	r := p.reload
	if r == nil {
		return
	}
	if r.trial != nil && !r.trial.exited {
		if err := r.trial.proc.signal(syscall.SIGKILL); err != nil {
			p.log.Error("cannot kill candidate", "pid", r.trial.proc.pid(), "err", err)
		}
	}
	if r.next != nil {
		p.retire(r.next, now)
		r.next = nil
	}
	r.old = nil
	r.answer(refusal)
}

// stoppingResult answers what a stop leaves undone.
func (p *Parent) stoppingResult() Result {
	return Result{Errors: []string{"the server is stopping"}}
}

// abandon lets go of a candidate that was killed by stop.
func (p *Parent) abandon(now time.Time, next *wakeUp) {
	r := p.reload
	if r == nil || r.trial == nil || !r.trial.exited {
		return
	}
	if t := r.trial; !t.closed && !due(t.deadline, now) {
		next.at(t.deadline)
		return
	}
	r.trial.proc.release()
	r.trial = nil
}

// leftover are the processes that a stop could not end. Whoever asked for the
// stop is told.
func (p *Parent) leftover() error {
	var errs []error
	for _, ch := range p.slots {
		if ch != nil {
			errs = append(errs, fmt.Errorf("end child %d in slot %d: it does not end, even though it was killed", ch.proc.pid(), ch.slot))
		}
	}
	err := errors.Join(errs...)
	if err != nil {
		p.answerStops(Result{Errors: splitLines(err)})
	}
	return err
}

func (p *Parent) answerStops(res Result) {
	for _, reply := range p.stopped {
		reply <- res
	}
	p.stopped = nil
}

// release gives back what the master holds, after the last process.
func (p *Parent) release() {
	if p.serving != nil {
		p.endGeneration(p.serving)
		p.serving = nil
	}
	for _, g := range p.retired {
		p.endGeneration(g)
	}
	p.retired = nil
	p.answerStops(Result{})
}

// splitLines gives each line of a joined error.
func splitLines(err error) []string {
	var many interface{ Unwrap() []error }
	if errors.As(err, &many) {
		var lines []string
		for _, e := range many.Unwrap() {
			lines = append(lines, e.Error())
		}
		return lines
	}
	return strings.Split(err.Error(), "\n")
}

// unique drops repetitions: five children of one generation tend to fail for
// one reason.
func unique(lines []string) []string {
	var kept []string
	for _, l := range lines {
		if !slices.Contains(kept, l) {
			kept = append(kept, l)
		}
	}
	return kept
}
