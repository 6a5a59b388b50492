package sys

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Epoll is a level-triggered interest list. See epoll(7).
type Epoll struct {
	fd     FD
	events []unix.EpollEvent
}

// Event is one ready descriptor.
type Event struct {
	FD FD
	// Readable: a read or accept will not block.
	Readable bool
	// Closed: the other end is gone.
	Closed bool
}

// NewEpoll makes an empty interest list for at most watched descriptors, so
// that one Wait sees all that are ready.
func NewEpoll(watched int) (*Epoll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make epoll: %w", err)
	}
	return &Epoll{fd: FD(fd), events: make([]unix.EpollEvent, watched)}, nil
}

// Add watches fd for reading. With exclusive, an event wakes one of the
// processes that watch the same file, not all of them.
func (e *Epoll) Add(fd FD, exclusive bool) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if exclusive {
		ev.Events |= unix.EPOLLEXCLUSIVE
	}
	if err := unix.EpollCtl(int(e.fd), unix.EPOLL_CTL_ADD, int(fd), &ev); err != nil {
		return fmt.Errorf("watch descriptor %d: %w", fd, err)
	}
	return nil
}

// FD is the list's own descriptor, which another list can watch: it is readable
// while something in this one is ready.
func (e *Epoll) FD() FD { return e.fd }

// Remove stops watching fd.
func (e *Epoll) Remove(fd FD) error {
	if err := unix.EpollCtl(int(e.fd), unix.EPOLL_CTL_DEL, int(fd), nil); err != nil {
		return fmt.Errorf("unwatch descriptor %d: %w", fd, err)
	}
	return nil
}

// Wait appends what is ready to into, waiting for at most timeout; a negative
// timeout waits until something is. It returns early, with nothing, when a
// signal arrives.
func (e *Epoll) Wait(into []Event, timeout time.Duration) ([]Event, error) {
	n, err := unix.EpollWait(int(e.fd), e.events, milliseconds(timeout))
	if errors.Is(err, unix.EINTR) {
		return into, nil
	}
	if err != nil {
		return into, fmt.Errorf("wait for events: %w", err)
	}
	for _, ev := range e.events[:n] {
		into = append(into, Event{
			FD:       FD(ev.Fd),
			Readable: ev.Events&unix.EPOLLIN != 0,
			Closed:   ev.Events&(unix.EPOLLHUP|unix.EPOLLERR) != 0,
		})
	}
	return into, nil
}

// Close closes the interest list.
func (e *Epoll) Close() error { return e.fd.Close() }

// milliseconds rounds up, so that a wait is never cut short into a spin.
func milliseconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	return int((d + time.Millisecond - 1) / time.Millisecond)
}
