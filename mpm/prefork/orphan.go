package prefork

import (
	"time"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// A child whose master was killed finishes what it serves. It holds the listening
// sockets too, and as long as it does nobody else can bind their addresses: a new
// server could not start before the last client of the old one has gone. So it
// lets go of them as soon as it knows, which is whenever it waits for its client.

// letGo closes this child's descriptors of the listeners. It accepts nothing any
// more.
func (c *Child) letGo() {
	c.over = true
	if c.lent {
		return
	}
	for i := range c.listeners {
		if l := &c.listeners[i]; l.fd != sys.None {
			_ = c.epoll.Remove(l.fd) // others hold the socket, so closing does not
			_ = l.fd.Close()
			l.fd, l.ready = sys.None, false
		}
	}
}

// wait waits for the socket, and meanwhile for the end of the master.
func (c *conn) wait(what sys.Interest, deadline time.Time) (sys.Wake, error) {
	if !c.child.orphan {
		wake, err := sys.WaitSocket(c.fd, what, deadline, c.child.lifeline)
		if err != nil || wake != sys.WakePipe {
			return wake, err
		}
		c.child.orphan = true
		c.child.letGo()
	}
	return sys.WaitSocket(c.fd, what, deadline)
}
