package prefork

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// A child that cannot accept for want of descriptors or memory waits for them,
// rather than to leave: what it lacks, the one that took its place would lack,
// too, and starting that costs more of it. The client waits in the queue.
const (
	starvePause = 100 * time.Millisecond
	// starveTime is how long a child waits. Then it leaves, should the lack be
	// its own.
	starveTime = 10 * time.Second
)

// lacks reports whether accept failed for want of something.
func lacks(err error) bool {
	for _, lack := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS} {
		if errors.Is(err, lack) {
			return true
		}
	}
	return false
}

// starve makes room for the next try to accept, or waits for it. It returns an
// error when that was in vain for too long.
func (c *Child) starve(l *childListener, lack error, now time.Time) error {
	if len(c.linger.conns) > 0 {
		c.linger.drop(0) // it has been served
		return nil
	}
	if c.starved.IsZero() {
		c.starved = now
	}
	if now.Sub(c.starved) >= starveTime {
		return fmt.Errorf("accept on %s: %w: %w", l.name, ErrSick, lack)
	}
	_, err := sys.WaitSocket(c.lifeline, sys.Ended, now.Add(starvePause), c.generation)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSick, err)
	}
	return nil
}
