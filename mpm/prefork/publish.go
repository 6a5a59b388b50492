package prefork

import (
	"time"
)

// Children that show the server's state get it from the master, who alone
// knows it: one that wants it writes a byte into the wish pipe, and the master
// posts a Snapshot on the bulletin, which all of them read. Nobody who writes to
// the pipe can make the master do so more often than is good for it.

const (
	// publishEvery is the least time between two publications.
	publishEvery = 100 * time.Millisecond
	// publishShare bounds the share of the master's time that goes into them:
	// after one that took a millisecond there is none for so many.
	publishShare = 20
)

// statistics is what a Parent keeps of this, and for it.
type statistics struct {
	ledger      ledger
	wished      bool
	publishNext time.Time // not before
	counted     time.Time // when countFailures last looked
}

// publish tells children how things are, if one wants to know and it is time.
func (p *Parent) publish(now time.Time, next *wakeUp) {
	if !p.wished {
		return
	}
	if now.Before(p.publishNext) {
		next.at(p.publishNext)
		return
	}
	p.wished = false
	cost := p.sys.publish(func() Snapshot { return p.snapshot(now) })
	p.publishNext = now.Add(max(publishEvery, publishShare*cost))
}
