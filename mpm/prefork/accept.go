package prefork

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// accept takes a connection from l, or else from the next listener that woke
// this child: the kernel may have woken nobody else for it. l is nil when all
// have gone to others.
func (c *Child) accept(l *childListener) (*childListener, sys.FD, net.Addr, error) {
	for ; l != nil; l = c.nextListener() {
		fd, peer, err := l.fd.Accept()
		if err == nil {
			return l, fd, peer, nil
		}
		l.ready = false
		// A listener that the next generation does without is shut down after
		// the pipe is closed.
		if errors.Is(err, syscall.EINVAL) && c.stopping() {
			continue
		}
		if fatal := acceptFailure(err); fatal != nil {
			return nil, sys.None, nil, fmt.Errorf("accept on %s: %w", l.name, fatal)
		}
	}
	return nil, sys.None, nil, nil
}

// watch makes the epoll set. The gate, the end of the generation and that of
// the master wake all children.
func (c *Child) watch() (err error) {
	const pipes = 6 // pod, generation, lifeline, gate; of a crew hurry and wake
	if c.epoll, err = sys.NewEpoll(len(c.listeners) + pipes + lingerMax); err != nil {
		return err
	}
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
		if err := c.epoll.Add(l.fd, true); err != nil {
			return err
		}
	}
	return c.epoll.Add(c.pod, true)
}

func (c *Child) deafen() error {
	for _, l := range c.listeners {
		if err := c.epoll.Remove(l.fd); err != nil {
			return err
		}
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
			timeout = c.linger.next(time.Now())
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
			default:
				c.arrived(ev)
			}
		}
		c.linger.expire(time.Now())
		if c.over && !waited {
			return nil, nil
		}
		if l := c.nextListener(); l != nil {
			return l, nil
		}
		if c.over || (picked && c.takePodByte()) {
			return nil, nil
		}
		if gate && !c.open {
			if err := c.enter(); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrSick, err)
			}
		}
	}
}

// arrived notes an event of a listener or of a lingering connection.
func (c *Child) arrived(ev sys.Event) {
	for i := range c.listeners {
		if c.listeners[i].fd == ev.FD {
			// A listener that the reload has removed is shut down.
			c.listeners[i].ready = !ev.Closed
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

// takePodByte reports whether this child, and no other, got the byte that
// makes one leave.
func (c *Child) takePodByte() bool {
	var b [1]byte
	n, err := c.pod.Read(b[:])
	return n == 1 && err == nil
}

// acceptFailure decides whether a failed accept ends the child. What concerns
// only the one connection, or the network for a while, does not. Anything else
// is taken for a lack of something that may be there again later.
func acceptFailure(err error) error {
	for _, passing := range []error{
		syscall.EAGAIN, syscall.ECONNABORTED, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.EPROTO,
		syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EPERM,
	} {
		if errors.Is(err, passing) {
			return nil
		}
	}
	return fmt.Errorf("%w: %w", ErrSick, err)
}
