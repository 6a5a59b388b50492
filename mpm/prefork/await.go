package prefork

import (
	"fmt"
	"time"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// watch makes the epoll set. The gate, the end of the generation and that of
// the master wake all children.
func (c *Child) watch() (err error) {
	const pipes = 7 // pod, generation, lifeline, gate; of a crew hurry, wake, and the set of the parked
	if c.epoll, err = sys.NewEpoll(len(c.listeners) + pipes + lingerMax); err != nil {
		return err
	}
	c.restock()
	c.linger.epoll = c.epoll
	for _, fd := range []sys.FD{c.generation, c.lifeline, c.gate} {
		if err := c.epoll.Add(fd, false); err != nil {
			return err
		}
	}
	return nil
}

// enter passes the open gate: from now on listeners and pod wake this child,
// or another one; each event wakes one.
func (c *Child) enter() error {
	c.open = true
	if err := c.epoll.Remove(c.gate); err != nil {
		return err
	}
	return c.listen()
}

// listen watches what only one child is to be woken by, and deafen does not any
// longer.
func (c *Child) listen() error {
	for _, l := range c.listeners {
		if l.gone {
			continue
		}
		if err := c.epoll.Add(l.fd, true); err != nil {
			return err
		}
	}
	if c.pod == sys.None { // nobody else could leave
		return nil
	}
	return c.epoll.Add(c.pod, true)
}

func (c *Child) deafen() error {
	for _, l := range c.listeners {
		if l.gone {
			continue
		}
		if err := c.epoll.Remove(l.fd); err != nil {
			return err
		}
	}
	if c.pod == sys.None {
		return nil
	}
	return c.epoll.Remove(c.pod)
}

// await waits for a listener with a connection to accept. It returns nil when
// the child is to leave.
//
// It looks before it waits. One that finds its generation over by looking
// leaves at once. One that was waiting, and is woken by that and a connection
// together, takes the connection first: the kernel woke nobody else for it, so
// nobody else would come.
func (c *Child) await() (*childListener, error) {
	for waited := false; ; waited = true {
		timeout := time.Duration(0)
		if waited {
			timeout = c.next(time.Now())
		}
		var err error
		c.events, err = c.epoll.Wait(c.events[:0], timeout)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSick, err)
		}
		for i := range c.listeners {
			c.listeners[i].ready = false
		}
		picked, gate := false, false
		for _, ev := range c.events {
			switch ev.FD {
			case c.generation, c.lifeline:
				c.over = true
			case c.pod:
				picked = true
			case c.gate:
				gate = true
			case c.hurryPipe: // only a crew watches it
				if err := c.crew.Load().hurry(); err != nil {
					return nil, err
				}
			case c.parkedSet():
				if err := c.crew.Load().revive(); err != nil {
					return nil, fmt.Errorf("%w: %w", ErrSick, err)
				}
			default:
				c.arrived(ev)
			}
		}
		c.tend(time.Now())
		if c.over && !waited {
			return nil, nil
		}
		if l := c.nextListener(); l != nil {
			c.woken = waited
			return l, nil
		}
		if c.over || (picked && c.takePodByte() == podLeave) {
			return nil, nil
		}
		if l := c.nextListener(); l != nil {
			c.woken = false // by the byte, and not for a connection
			return l, nil
		}
		if gate && !c.open {
			if err := c.enter(); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrSick, err)
			}
		}
	}
}

// next is how long to wait at most before tend has something to do; negative means
// without end.
func (c *Child) next(now time.Time) time.Duration {
	if crew := c.crew.Load(); crew != nil {
		return crew.nextTend(now)
	}
	return c.linger.next(now)
}

// tend does what is due for connections that nobody serves at the moment.
func (c *Child) tend(now time.Time) {
	if crew := c.crew.Load(); crew != nil {
		crew.tend(now)
		return
	}
	c.linger.expire(now)
}

// arrived notes an event of a listener or of a lingering connection.
func (c *Child) arrived(ev sys.Event) {
	for i := range c.listeners {
		if c.listeners[i].fd == ev.FD {
			// A listener that the reload has removed is shut down, and so is
			// one that no bucket needs.
			c.listeners[i].ready = !ev.Closed
			if ev.Closed {
				c.listeners[i].gone = true
				_ = c.epoll.Remove(ev.FD) // or it would wake this child for ever
			}
			return
		}
	}
	c.linger.drain(ev.FD)
}

// nextListener picks among the ready listeners in turn, so that a busy one
// does not starve a quiet one.
func (c *Child) nextListener() *childListener {
	for i := range c.listeners {
		at := (c.turn + i) % len(c.listeners)
		if c.listeners[at].ready {
			c.turn = at + 1
			return &c.listeners[at]
		}
	}
	return nil
}

// takePodByte takes the byte in the pod, if this child and no other got it. One
// that says to look makes each listener count as ready.
func (c *Child) takePodByte() byte {
	var b [1]byte
	if n, err := c.pod.Read(b[:]); n != 1 || err != nil {
		return 0
	}
	if b[0] == podLook {
		for i := range c.listeners {
			c.listeners[i].ready = !c.listeners[i].gone
		}
	}
	return b[0]
}
