package prefork

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
	"github.com/apphost/apphost/mpm/scoreboard"
)

const (
	// Room on the bulletin for what is said of each child, of each of its
	// threads, and of the rest; and the most altogether.
	slotTextBytes   = 2 << 10
	threadTextBytes = 2 << 10
	otherTextBytes  = 256 << 10
	textBytesMax    = 256 << 20

	// snapshotTimeout is how long a child waits for an answer of the master.
	snapshotTimeout = 2 * time.Second
	// snapshotPoll is how often it looks for one.
	snapshotPoll = 5 * time.Millisecond
	// wishBytes is what a pipe holds.
	wishBytes = 64 << 10
)

// bulletin is the master's side of publishing. It lasts from the first
// generation that wants it to the master's end.
type bulletin struct {
	board  *scoreboard.Bulletin
	wishes *os.File      // read end
	wish   sys.FD        // write end, for children
	posted chan struct{} // tells the reader of wishes to go on
	closed chan struct{}
}

func newBulletin(o *mpm.Options) (*bulletin, error) {
	size := otherTextBytes + o.ServerLimit*(slotTextBytes+o.Threads()*threadTextBytes)
	board, err := scoreboard.NewBulletin(min(size, textBytesMax))
	if err != nil {
		return nil, err
	}
	r, w, err := sys.Pipe()
	if err != nil {
		return nil, errors.Join(err, board.Close())
	}
	return &bulletin{
		board: board, wishes: os.NewFile(uintptr(r), "wishes"), wish: w,
		posted: make(chan struct{}, 1), closed: make(chan struct{}),
	}, nil
}

// listen turns wishes into events. However many there are, there is one event
// for each publication.
func (b *bulletin) listen(events chan<- event) {
	buf := make([]byte, wishBytes)
	for {
		if _, err := b.wishes.Read(buf); err != nil {
			return
		}
		select {
		case events <- wished{}:
		case <-b.closed:
			return
		}
		select {
		case <-b.posted:
		case <-b.closed:
			return
		}
	}
}

func (b *bulletin) close() {
	close(b.closed)
	_ = b.wishes.Close()
	_ = b.wish.Close()
	_ = b.board.Close()
}

// needBulletin makes it if there is none.
func (l *linux) needBulletin(o *mpm.Options) error {
	if l.bulletin != nil {
		return nil
	}
	if l.encode == nil {
		return errors.New("make the bulletin for the status page: prefork.Config.Publish is missing")
	}
	b, err := newBulletin(o)
	if err != nil {
		return fmt.Errorf("make the bulletin for the status page: %w", err)
	}
	l.bulletin = b
	go b.listen(l.events)
	return nil
}

func (l *linux) publish(take func() Snapshot) (cost time.Duration) {
	start := sys.Monotonic()
	s := take()
	text := l.encode(s)
	if len(text) > l.bulletin.board.TextBytesMax() {
		s.Slots = []SlotStatus{} // the rest is worth more than nothing
		text = l.encode(s)
	}
	if err := l.bulletin.board.Post(text, start); err != nil {
		l.log.Error("cannot publish the server's status", "err", err)
	}
	select {
	case l.bulletin.posted <- struct{}{}:
	default:
	}
	return sys.Monotonic() - start
}

func (l *linux) slotReport(slot int) []threadReport {
	if l.unreadable(slot) {
		return []threadReport{{ThreadStatus: scoreboard.ThreadStatus{State: mpm.StateWriting}}}
	}
	s, now := l.board[slot], sys.Monotonic()
	reports := make([]threadReport, s.Threads())
	for i := range reports {
		r := threadReport{ThreadStatus: s.Thread(i).Status()}
		if r.Start > 0 && r.Start <= now {
			r.Since = now - r.Start
			r.Took = max(0, min(r.Stop, now)-r.Start)
		}
		reports[i] = r
	}
	return reports
}

func (l *linux) load() [3]float64               { return sys.Load() }
func (l *linux) cpu() (own, ended sys.CPUTime)  { return sys.OwnCPU(), sys.EndedCPU() }
func (l *linux) processCPU(pid int) sys.CPUTime { return sys.ProcessCPU(pid) }

func (l *linux) ran(pid int) (cpu time.Duration, ok bool) { return sys.Ran(pid) }

// inheritBulletin takes over what only a child of a generation with
// mpm.Options.Status has, behind its last log.
func (c *Child) inheritBulletin(first int) error {
	c.wish = inherit(first)
	if !c.wish.IsPipe() {
		return fmt.Errorf("descriptor %d is not a pipe", c.wish)
	}
	board, err := scoreboard.AttachBulletin(inherit(first + 1))
	if err != nil {
		return err
	}
	c.bulletin.Store(board)
	return nil
}

// changeBulletin changes over to the bulletin of a master that took over. The
// old one stays mapped, since somebody may be reading it.
func (c *Child) changeBulletin(board sys.FD) error {
	b, err := scoreboard.AttachBulletin(board)
	if err != nil {
		_ = board.Close()
		return err
	}
	c.bulletin.Store(b)
	return nil
}

// Snapshot returns how the master and its children are at some moment after the
// call, as Config.Publish has encoded it. It may be called by any goroutine
// while the child serves, and takes a tenth of a second when others ask, too.
//
// # Errors
//
// The generation is one without mpm.Options.Status, the master is gone or does
// not answer within two seconds, or ctx ended.
func (c *Child) Snapshot(ctx context.Context) ([]byte, error) {
	if c.bulletin.Load() == nil {
		return nil, errors.New("ask the master for its status: this generation has no status page")
	}
	since := sys.Monotonic()
	var wished *scoreboard.Bulletin // the one that the answer is awaited on
	tick := time.NewTicker(snapshotPoll)
	defer tick.Stop()
	for {
		board := c.bulletin.Load()
		if board != wished {
			switch err := c.makeWish(); {
			case err == nil:
				wished = board
			case !errors.Is(err, syscall.EPIPE): // by which another master takes over
				return nil, fmt.Errorf("ask the master for its status: %w", err)
			}
		}
		if text, ok := board.Read(since); ok {
			return text, nil
		}
		if sys.Closed(c.lifeline) {
			return nil, errors.New("ask the master for its status: it has gone")
		}
		if sys.Monotonic()-since > snapshotTimeout {
			return nil, fmt.Errorf("ask the master for its status: no answer within %s", snapshotTimeout)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// makeWish writes to the pipe if there is room: if not, someone's wish is in
// it. Whether a write may block is a flag that a hostile child can change for
// all, so it is not relied upon.
func (c *Child) makeWish() error {
	room, err := sys.WaitSocket(c.wish, sys.Writable, time.Now())
	if err != nil || room == sys.WakeTimeout {
		return err
	}
	_, err = c.wish.Write([]byte{'?'})
	if errors.Is(err, syscall.EAGAIN) {
		return nil
	}
	return err
}
