package prefork

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/signal"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/image"
	"github.com/apphost/apphost/mpm/internal/sys"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// Child is the process's own view when it runs in a child's role. It belongs
// to one goroutine.
type Child struct {
	Slot       int
	Generation uint64
	Image      *image.Image
	Options    *mpm.Options

	board      *scoreboard.Slot
	pod        sys.FD
	generation sys.FD
	lifeline   sys.FD
	gate       sys.FD
	hurry      sys.FD
	report     sys.FD
	listeners  []childListener

	epoll  *sys.Epoll
	events []sys.Event
	linger lingering
	served uint64
	turn   int  // where the search for a ready listener starts
	open   bool // the gate is: listeners are watched
	over   bool // the generation or the master is gone: leave after this
}

type childListener struct {
	fd    sys.FD
	name  string
	ready bool
	// surplus: a bucket's socket that gets no new clients; the master closes it
	// when it is empty.
	surplus bool
}

// ErrSick is wrapped by errors that may go away by themselves, such as a lack
// of descriptors; the child exits with ExitSick.
var ErrSick = errors.New("short of a resource")

// OpenChild takes over what the master handed to this process and checks each
// descriptor for what it should be. args and getenv are the process's own.
func OpenChild(args []string, getenv func(string) string) (*Child, error) {
	if err := checkHandshake(getenv); err != nil {
		return nil, err
	}
	slot, generation, err := parseChildArgs(args)
	if err != nil {
		return nil, err
	}
	c := &Child{
		Slot:       slot,
		Generation: generation,
		pod:        inherit(fdPod),
		generation: inherit(fdGeneration),
		lifeline:   inherit(fdLifeline),
		gate:       inherit(fdGate),
		hurry:      inherit(fdHurry),
		report:     inherit(fdReport),
	}
	for _, p := range []sys.FD{c.pod, c.generation, c.lifeline, c.gate, c.hurry, c.report} {
		if !p.IsPipe() {
			return nil, fmt.Errorf("start child: descriptor %d is not a pipe", p)
		}
	}
	if c.board, err = scoreboard.Attach(inherit(fdSlot)); err != nil {
		return nil, fmt.Errorf("start child: %w", err)
	}
	if c.Image, c.Options, err = openImage(inherit(fdImage)); err != nil {
		return nil, fmt.Errorf("start child: %w", err)
	}
	if err := c.openListeners(args); err != nil {
		return nil, err
	}
	return c, nil
}

// Fail tells the master why this child cannot serve. The process is to exit
// with the code returned.
func (c *Child) Fail(err error) (exitCode int) {
	_, _ = c.report.Write(append([]byte{reportFail}, err.Error()...))
	if errors.Is(err, ErrSick) {
		return ExitSick
	}
	return ExitFatal
}

// Serve tells the master that the child is ready, waits for the gate of its
// generation to open, and then accepts connections and hands them to h, one at
// a time, until the child is told to leave or has served its share.
//
// It must be called on the thread that the process began with; ready, if not
// nil, is called when that does not matter any longer.
//
// # Errors
//
// The child cannot go on: its epoll set cannot be made, the master cannot be
// told, or a listener fails. ErrSick is among the causes if the reason is a
// lack of resources.
func (c *Child) Serve(ctx context.Context, h mpm.ConnHandler, ready func()) error {
	if err := c.watch(); err != nil {
		return fmt.Errorf("%w: %w", ErrSick, err)
	}
	defer c.leave()
	share := c.share()
	c.board.SetState(mpm.StateReady)
	if _, err := c.report.Write([]byte{reportReady}); err != nil {
		return fmt.Errorf("report ready: %w", err)
	}
	// From here on the child finishes what it serves when its master dies.
	if err := sys.OutliveParent(); err != nil {
		return err
	}
	if ready != nil {
		ready()
	}
	for !c.over && (share == 0 || c.served < share) {
		l, err := c.await()
		if err != nil {
			return err
		}
		if l == nil {
			return nil
		}
		l, fd, peer, err := c.accept(l)
		if err != nil {
			return err
		}
		if l == nil {
			continue
		}
		c.board.SetState(mpm.StateReading)
		c.served++
		conn := &conn{fd: fd, id: c.served, child: c, listener: l.name, remote: peer}
		h.ServeConn(ctx, conn)
		c.board.SetState(mpm.StateClosing)
		c.finish(conn)
		c.board.CountConn()
		c.board.SetState(mpm.StateReady)
	}
	return nil
}

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
		if errors.Is(err, syscall.EINVAL) && (c.stopping() || l.surplus) {
			continue
		}
		if fatal := acceptFailure(err); fatal != nil {
			return nil, sys.None, nil, fmt.Errorf("accept on %s: %w", l.name, fatal)
		}
	}
	return nil, sys.None, nil, nil
}

// share is after how many connections the child leaves, 0 for never. The
// jitter keeps children that started together from leaving together.
func (c *Child) share() uint64 {
	n := uint64(c.Options.MaxConnectionsPerChild)
	if n >= 10 {
		n -= rand.Uint64N(n/10 + 1)
	}
	return n
}

// watch makes the epoll set. The gate, the end of the generation and that of
// the master wake all children.
func (c *Child) watch() (err error) {
	const pipes = 4 // pod, generation, lifeline, gate
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
	for _, l := range c.listeners {
		if err := c.epoll.Add(l.fd, true); err != nil {
			return err
		}
	}
	return c.epoll.Add(c.pod, true)
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
			// A listener that the reload has removed is shut down, and so is
			// one that no bucket needs.
			c.listeners[i].ready = !ev.Closed
			if ev.Closed {
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

// takePodByte reports whether this child, and no other, got the byte that
// makes one leave.
func (c *Child) takePodByte() bool {
	var b [1]byte
	n, err := c.pod.Read(b[:])
	return n == 1 && err == nil
}

// stopping reports whether this connection is to be one of the last: the
// generation is over or about to be, or the master is gone.
func (c *Child) stopping() bool {
	return sys.Closed(c.hurry) || sys.Closed(c.lifeline)
}

func (c *Child) leave() {
	c.board.SetState(mpm.StateGraceful)
	patience := lingerIdle
	if sys.Closed(c.lifeline) {
		patience = lingerOrphan
	}
	c.linger.finish(time.Now().Add(patience))
	_ = c.epoll.Close()
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

// Prepare sets up this process for a child's or candidate's role: its name in
// process lists, and no signals of a terminal, which are the master's to act
// on.
func Prepare(name string) {
	_ = sys.SetName(name) // without /proc the name stays "exe"
	signal.Ignore(syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGPIPE)
}
