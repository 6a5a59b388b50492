package prefork

import (
	"fmt"
	"time"
)

const (
	// newLogsPatience is how long to wait for children to change over to
	// reopened log files. They need a tenth of a second at most, unless a guest
	// keeps the processor to itself or something has stopped them.
	newLogsPatience = 5 * time.Second
	// newLogsPoll is how often to look whether they have.
	newLogsPoll = 2 * time.Millisecond
)

// newLogs is a reopening of the log files that some child has yet to follow.
type newLogs struct {
	waiters  []chan<- Result
	deadline time.Time
}

// reopenLogs opens the log files anew. Should that fail, all processes go on
// with those that they have. reply may be nil.
func (p *Parent) reopenLogs(reply chan<- Result, now time.Time) {
	answer := func(res Result) {
		if reply != nil {
			reply <- res
		}
	}
	if p.stopping {
		answer(p.stoppingResult())
		return
	}
	if err := p.sys.reopenLogs(); err != nil {
		p.log.Error("log files are not reopened; the old ones stay in use", "err", err)
		answer(Result{Generation: p.servingNumber(), Errors: splitLines(err)})
		return
	}
	p.log.Info("log files reopened")
	if p.newLogs == nil {
		p.newLogs = new(newLogs)
	}
	p.newLogs.deadline = now.Add(newLogsPatience)
	if reply != nil {
		p.newLogs.waiters = append(p.newLogs.waiters, reply)
	}
}

// awaitNewLogs ends a reopening when every child has followed, or has had its
// time to.
func (p *Parent) awaitNewLogs(now time.Time, next *wakeUp) {
	n := p.newLogs
	if n == nil {
		return
	}
	behind := p.sys.oldLogs()
	if len(behind) > 0 && now.Before(n.deadline) {
		next.at(now.Add(newLogsPoll))
		return
	}
	res := Result{Generation: p.servingNumber()}
	for _, pid := range behind {
		where := ""
		if ch := p.byPID[pid]; ch != nil {
			where = fmt.Sprintf(" in slot %d, generation %d,", ch.slot, ch.generation.number)
		}
		problem := fmt.Sprintf("child %d%s may still write to the old log files: it did not change over within %s; it does when what keeps it busy is over", pid, where, newLogsPatience)
		p.log.Warn("log files reopened but for one child", "problem", problem)
		res.Errors = append(res.Errors, problem)
	}
	p.answerNewLogs(res)
}

func (p *Parent) answerNewLogs(res Result) {
	if p.newLogs == nil {
		return
	}
	for _, reply := range p.newLogs.waiters {
		reply <- res // buffered by whoever asked
	}
	p.newLogs = nil
}
