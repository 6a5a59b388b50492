package prefork

import (
	"errors"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// Closing a socket while the peer still sends makes the kernel send a reset,
// which can destroy the response before the peer has read it. So the write
// side is closed first, and what still comes is thrown away until the peer
// closes too. That happens beside the next connection, not before it: a slow
// peer does not keep the child.
const (
	lingerMax    = 64              // connections at a time; more are closed at once
	lingerIdle   = 2 * time.Second // without anything from the peer
	lingerTotal  = 30 * time.Second
	lingerOrphan = 500 * time.Millisecond // for all of them, when the master is gone
)

// lingering are the connections that wait for their peer to close.
type lingering struct {
	epoll *sys.Epoll
	conns []lingerer
}

type lingerer struct {
	fd       sys.FD
	idle     time.Time // closed when nothing has come until then
	deadline time.Time // closed then at the latest
}

// finish closes a connection whose handler has returned.
func (c *Child) finish(conn *conn) {
	if conn.retire() || conn.ended || conn.broken.Load() {
		_ = conn.fd.Close()
		return
	}
	_ = conn.fd.ShutdownWrite()
	c.linger.add(conn.fd, time.Now())
}

func (l *lingering) add(fd sys.FD, now time.Time) {
	if discard(fd) || len(l.conns) >= lingerMax || l.epoll.Add(fd, false) != nil {
		_ = fd.Close()
		return
	}
	l.conns = append(l.conns, lingerer{fd, now.Add(lingerIdle), now.Add(lingerTotal)})
}

// drain throws away what has come on fd, and closes it at the end of the
// stream.
func (l *lingering) drain(fd sys.FD) {
	for i := range l.conns {
		if l.conns[i].fd != fd {
			continue
		}
		if discard(fd) {
			l.drop(i)
			return
		}
		l.conns[i].idle = time.Now().Add(lingerIdle)
		return
	}
}

// discard reads what is there and reports whether the stream is at its end.
// It is bounded, so that a peer that sends without pause keeps nobody.
func discard(fd sys.FD) bool {
	var scratch [4096]byte
	for range 16 {
		n, err := fd.ReadNow(scratch[:])
		if err != nil {
			return !errors.Is(err, syscall.EAGAIN)
		}
		if n == 0 {
			return true
		}
	}
	return false
}

func (l *lingering) drop(i int) {
	_ = l.conns[i].fd.Close() // which also takes it out of the epoll set
	last := len(l.conns) - 1
	l.conns[i] = l.conns[last]
	l.conns = l.conns[:last]
}

// next is how long to wait at most before expire has something to do;
// negative means without end.
func (l *lingering) next(now time.Time) time.Duration {
	soonest := time.Duration(-1)
	for _, c := range l.conns {
		until := max(0, minTime(c.idle, c.deadline).Sub(now))
		if soonest < 0 || until < soonest {
			soonest = until
		}
	}
	return soonest
}

// expire closes the connections whose time is up.
func (l *lingering) expire(now time.Time) {
	for i := len(l.conns) - 1; i >= 0; i-- {
		if !now.Before(minTime(l.conns[i].idle, l.conns[i].deadline)) {
			l.drop(i)
		}
	}
}

// finish gives all peers until the deadline, and closes all connections. It
// watches them in a set of their own, where no listener is.
func (l *lingering) finish(deadline time.Time) {
	defer func() {
		for len(l.conns) > 0 {
			l.drop(0)
		}
	}()
	if len(l.conns) == 0 {
		return
	}
	epoll, err := sys.NewEpoll(len(l.conns))
	if err != nil {
		return
	}
	defer func() { _ = epoll.Close() }()
	for _, c := range l.conns {
		if epoll.Add(c.fd, false) != nil {
			return
		}
	}
	var events []sys.Event
	for now := time.Now(); len(l.conns) > 0 && now.Before(deadline); now = time.Now() {
		if events, err = epoll.Wait(events[:0], min(l.next(now), deadline.Sub(now))); err != nil {
			return
		}
		for _, ev := range events {
			l.drain(ev.FD)
		}
		l.expire(time.Now())
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
