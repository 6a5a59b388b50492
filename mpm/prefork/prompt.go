package prefork

import (
	"fmt"
	"time"
)

// A peer that is quick to send is read without poll(2): a read that waits does as
// much as that and the read after it, for a good deal less. But it knows
// neither of the pipes nor of the deadline. So it waits for only so long, then
// poll(2) waits for the rest, and it is not tried where one of them may matter.
// An idle connection hears that much later of the end, at most.
//
// A new connection's peer counts as quick until it pauses.
const (
	// promptTime is how long a read waits, or a tick of the kernel longer.
	promptTime = 20 * time.Millisecond
	// promptLook is how often the pipes are looked at all the same: a peer that
	// never pauses is not to hide from its child that the master has died.
	promptLook = 100 * time.Millisecond
	// promptWaits in a row have to be that short after a pause: a read that waits
	// in vain is one call more.
	promptWaits = 4
)

// promptness is how soon the peer has sent again.
type promptness struct {
	waits  int       // how many waits in a row were short
	looked time.Time // the begin of the last poll(2)
	blocks bool      // reads of the socket wait, for promptTime
}

// begin bounds the reads of a new connection, whose socket blocks. TCP would give on
// a bound of the listener's for nothing, but all children have the listener, and one
// that was taken over could make the others' reads wait without end. The
// connection is this child's alone.
func (c *conn) begin(now time.Time) error {
	if c.fd.LimitReads(promptTime) == nil {
		c.prompt = promptness{waits: promptWaits, looked: now, blocks: true}
		return nil
	}
	if err := c.fd.SetNonblock(); err != nil { // poll(2) does it, too
		return fmt.Errorf("bound reads: %w", err)
	}
	return nil
}

// waited notes that poll(2) waited for something to read.
func (p *promptness) waited(began, now time.Time) {
	p.looked = began
	if now.Sub(began) >= promptTime {
		p.waits = 0
		return
	}
	p.waits = min(p.waits+1, promptWaits)
}

// readWaits reports whether the next read is to do its waiting itself. The kernel
// rounds times up, hence twice the time.
func (c *conn) readWaits(now time.Time) bool {
	return c.prompt.blocks && c.prompt.waits == promptWaits && now.Sub(c.prompt.looked) < promptLook &&
		(c.readDeadline.IsZero() || c.readDeadline.Sub(now) > 2*promptTime) &&
		!(c.idle && c.child.told())
}

// unblock makes reads return at once when there is nothing, for good.
func (c *conn) unblock() error {
	if !c.prompt.blocks {
		return nil
	}
	c.prompt = promptness{}
	return c.fd.SetNonblock()
}
