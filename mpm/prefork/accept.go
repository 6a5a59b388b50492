package prefork

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// tally is what a child has accepted. Each connection wakes at most one of the
// children that sleep, so together they wake in vain no more often than they
// take a connection in passing.
type tally struct {
	// served counts connections, and inPassing those of them that were there
	// when the child looked before it would sleep.
	served, inPassing uint64
	// inVain counts wake-ups for a connection that another child had taken.
	inVain uint64
}

// note counts the end of an accept.
func (c *Child) note(accepted bool) {
	switch {
	case !accepted && c.woken:
		c.tally.inVain++
	case accepted:
		c.tally.served++
		if !c.woken {
			c.tally.inPassing++
		}
	}
}

// accept takes a connection from l, or else from the next listener that woke
// this child: the kernel may have woken nobody else for it. l is nil when all
// have gone to others, or the child is short of something; see starve.
func (c *Child) accept(l *childListener) (*childListener, sys.FD, net.Addr, error) {
	for ; l != nil; l = c.nextListener() {
		fd, peer, err := c.take(l)
		if err == nil {
			c.starved = time.Time{}
			return l, fd, peer, nil
		}
		if lacks(err) {
			return nil, sys.None, nil, c.starve(l, err, time.Now())
		}
		l.ready = false
		// A listener that the next generation does without is shut down after
		// the pipe is closed.
		if errors.Is(err, syscall.EINVAL) && (c.stopping() || l.surplus) {
			continue
		}
		if fatal := acceptFailure(err); fatal != nil {
			return nil, sys.None, nil, fmt.Errorf("accept on %s: %w", l.name, fatal)
		}
	}
	return nil, sys.None, nil, nil
}

// take accepts a connection, if need be with the descriptor that is kept in
// reserve: this child was woken for it, and nobody else is.
func (c *Child) take(l *childListener) (sys.FD, net.Addr, error) {
	fd, peer, err := l.accept()
	if c.reserve == nil || !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
		return fd, peer, err
	}
	_ = c.reserve.Close()
	c.reserve = nil
	return l.accept()
}

func (l *childListener) accept() (sys.FD, net.Addr, error) {
	if l.prompt {
		return l.fd.AcceptPrompt()
	}
	return l.fd.Accept()
}

// restock keeps a descriptor in reserve again, if there is one.
func (c *Child) restock() {
	if c.reserve == nil {
		c.reserve, _ = sys.NewEpoll(1) // or the next time
	}
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
