package prefork

import (
	"time"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// A peer that is quick to send again is read without poll(2): a read that waits
// does as much as that and the read after it, for a good deal less. But it knows
// neither of the pipes nor of the deadline. So it waits for only so long, then
// poll(2) waits for the rest, and it is not tried where one of them may matter.
// An idle connection hears that much later of the end, at most.
//
// A connection of a socket that was made here is like that from its first read on,
// since the kernel gives it on with accept(2); another one has to be quick first.
const (
	// promptLook is how often the pipes are looked at all the same: a peer that
	// never pauses is not to hide from its child that the master has died.
	promptLook = 100 * time.Millisecond
	// promptWaits in a row have to be that short first: a short-lived connection
	// does not earn the calls that change its socket.
	promptWaits = 4
)

// promptness is how soon the peer has sent again.
type promptness struct {
	waits  int       // how many waits in a row were short
	looked time.Time // the begin of the last poll(2)
	blocks bool      // reads of the socket wait, for sys.PromptTime
}

// begin notes that reads of the socket wait from the start.
func (p *promptness) begin(now time.Time) {
	*p = promptness{waits: promptWaits, looked: now, blocks: true}
}

// waited notes that poll(2) waited for something to read, and if the peer is
// quick makes reads wait from now on.
func (c *conn) waited(began, now time.Time) {
	c.prompt.looked = began
	if now.Sub(began) >= sys.PromptTime || c.polled != nil {
		c.prompt.waits = 0
		return
	}
	if c.prompt.waits = min(c.prompt.waits+1, promptWaits); c.prompt.waits < promptWaits || c.prompt.blocks {
		return
	}
	if c.prompt.blocks = c.fd.MakePrompt() == nil; !c.prompt.blocks {
		c.prompt.waits = 0 // poll(2) does it, too
	}
}

// readWaits reports whether the next read is to do its waiting itself. The kernel
// rounds times up, hence twice the time.
func (c *conn) readWaits(now time.Time) bool {
	return c.prompt.blocks && c.prompt.waits == promptWaits && now.Sub(c.prompt.looked) < promptLook &&
		(c.readDeadline.IsZero() || c.readDeadline.Sub(now) > 2*sys.PromptTime) &&
		!(c.idle && c.child.told())
}

// unblock makes reads return at once again when there is nothing.
func (c *conn) unblock() error {
	if !c.prompt.blocks {
		return nil
	}
	c.prompt = promptness{}
	return c.fd.SetNonblock()
}
