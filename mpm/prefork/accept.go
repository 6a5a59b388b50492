package prefork

import (
	"errors"
	"fmt"
	"net"
	"syscall"

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

// take accepts a connection, if need be in place of the reserve, after which
// this child is to leave.
func (c *Child) take(l *childListener) (sys.FD, net.Addr, error) {
	fd, peer, err := l.fd.Accept()
	if c.short != nil || !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
		return fd, peer, err
	}
	c.short = fmt.Errorf("accept on %s: %w: %w", l.name, ErrSick, err)
	_ = c.reserve.Close()
	return l.fd.Accept()
}
