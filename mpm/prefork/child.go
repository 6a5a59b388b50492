package prefork

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/image"
	"github.com/apphost/apphost/mpm/internal/sys"
	"github.com/apphost/apphost/mpm/logs"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// Child is the process's own view when it runs in a child's role. It belongs
// to one goroutine, but for the methods of mpm.Process.
type Child struct {
	Slot       int
	Generation uint64
	Image      *image.Image
	Options    *mpm.Options

	board      *scoreboard.Slot
	clock      sys.Clock
	pod        sys.FD
	generation sys.FD
	lifeline   sys.FD
	gate       sys.FD
	hurryPipe  sys.FD
	report     sys.FD
	newLogs    sys.FD
	listeners  []childListener
	logs       []*logs.Stream                      // the error log, then those of the options
	wish       sys.FD                              // of a generation with mpm.Options.Status
	bulletin   atomic.Pointer[scoreboard.Bulletin] // likewise; else nil
	flags      atomic.Pointer[scoreboard.Flags]

	epoll  *sys.Epoll // nil before Serve
	events []sys.Event
	linger lingering
	// reserve is given up for a connection that there is no descriptor for:
	// this child was woken for it, and nobody else is. nil is given up.
	reserve *sys.Epoll
	tally   tally
	woken   bool // what await returned last had ended a wait
	turn    int  // where the search for a ready listener starts
	open    bool // the gate is: listeners are watched
	over    bool // the generation or the master is gone: leave after this
	orphan  bool // the master is gone, as a connection has found
	lent    bool // the listeners are somebody else's to close
	spent   bool // of its memory, too little is left
	// starved is since when it could not accept for want of something.
	starved time.Time

	hooks   mpm.Hooks
	crashed sync.Once
	timed   timedCallbacks
	phase   atomic.Int32         // an mpm.Phase
	crew    atomic.Pointer[crew] // in the worker model, once it serves
}

type childListener struct {
	fd    sys.FD
	name  string
	ready bool
	// surplus: a bucket's socket that gets no new clients; the master closes it
	// when it is empty.
	surplus bool
	gone    bool // it was shut down, and is not watched any longer
	// prompt: connections are accepted as those whose reads wait, as one that was
	// looked at can have it; see sys.FD.IsPrompt.
	prompt, probed bool
}

// probe looks at a connection that was accepted, and decides how the next ones are.
func (l *childListener) probe(conn sys.FD) { l.prompt, l.probed = conn.IsPrompt(), true }

// ErrSick is wrapped by errors that may go away by themselves, such as a lack
// of descriptors; the child exits with ExitSick.
var ErrSick = errors.New("short of a resource")

// ErrTold is wrapped by errors that the master knows already.
var ErrTold = errors.New("the master was told")

// OpenChild takes over what the master handed to this process and checks each
// descriptor for what it should be. It gives up what is left of the master's
// privileges before it reads anything. args and getenv are the process's own.
// It must be called on the thread that the process began with.
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
		hurryPipe:  inherit(fdHurry),
		report:     inherit(fdReport),
		newLogs:    inherit(fdNewLogs),
	}
	for _, p := range []sys.FD{c.pod, c.generation, c.lifeline, c.gate, c.hurryPipe, c.report} {
		if !p.IsPipe() {
			return nil, fmt.Errorf("start child: descriptor %d is not a pipe", p)
		}
	}
	if err := confineChild(getenv); err != nil {
		c.Fail(err)
		return nil, fmt.Errorf("start child: %w: %w", ErrTold, err)
	}
	if c.Image, c.Options, err = openImage(inherit(fdImage)); err != nil {
		return nil, fmt.Errorf("start child: %w", err)
	}
	if c.board, err = scoreboard.Attach(inherit(fdSlot), c.Options.Threads(), len(c.Options.Codes)); err != nil {
		return nil, fmt.Errorf("start child: %w", err)
	}
	if err := c.changeFlags(inherit(fdFlags)); err != nil {
		return nil, fmt.Errorf("start child: %w", err)
	}
	c.clock = sys.NewClock()
	if err := c.openListeners(args); err != nil {
		return nil, err
	}
	if err := c.openLogs(); err != nil {
		return nil, err
	}
	if c.Options.Status {
		if err := c.inheritBulletin(fdListeners + len(c.listeners) + len(c.Options.Logs)); err != nil {
			return nil, fmt.Errorf("start child: %w", err)
		}
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
// generation to open, and then accepts connections and hands them to h until
// the child is told to leave or has served its share: one at a time, or in the
// worker model as many as it has threads.
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
	m, err := c.model(ctx, h)
	if err != nil {
		return err
	}
	if err = c.begin(ready); err == nil {
		err = m.serve(c.share())
	}
	c.leave(m, err)
	return err
}

// model is how a child serves.
type model interface {
	// serve accepts connections until the child is to leave.
	serve(share uint64) error
	// finish ends what is still served, and gives peers time to read.
	finish()
}

// model is how this child serves.
func (c *Child) model(ctx context.Context, h mpm.ConnHandler) (model, error) {
	h = c.guard(h)
	if !c.Options.Model.Threaded() {
		return &single{c, ctx, h}, nil
	}
	crew, err := newCrew(ctx, c, h)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSick, err)
	}
	c.crew.Store(crew)
	return crew, nil
}

// showReady shows on the scoreboard that the child can serve.
func (c *Child) showReady() {
	for i := range c.board.Threads() {
		c.board.Thread(i).SetState(mpm.StateReady)
	}
	c.board.SetState(mpm.StateReady)
}

// begin tells the master that the child is ready.
func (c *Child) begin(ready func()) error {
	// Loading may take more than serving.
	if err := sys.LimitMemory(c.Options.Privileges.Limits.MemoryBytes); err != nil {
		return err
	}
	c.board.OnBell(func() { _, _ = c.report.Write([]byte{reportRuns}) }) // an orphan rings in vain
	c.showReady()
	if _, err := c.report.Write([]byte{reportReady}); err != nil {
		return fmt.Errorf("report ready: %w", err)
	}
	// From here on the child finishes what it serves when its master dies.
	if err := sys.OutliveParent(); err != nil {
		return err
	}
	c.phase.Store(int32(mpm.PhaseRunning))
	if ready != nil {
		ready()
	}
	return nil
}

// single is the prefork model.
type single struct {
	*Child
	ctx     context.Context
	handler mpm.ConnHandler
}

func (s *single) serve(share uint64) error {
	own := s.board.Thread(0)
	for !s.over && (share == 0 || s.tally.served < share) && !s.outOfMemory() {
		s.restock()
		l, err := s.await()
		if err != nil {
			return err
		}
		if l == nil {
			return nil
		}
		l, fd, peer, err := s.accept(l)
		if err != nil {
			return err
		}
		s.note(l != nil)
		if l == nil {
			continue
		}
		conn := &conn{child: s.Child}
		conn.init(fd, s.tally.served, l.name, peer, own, s.clock)
		if l.prompt {
			conn.prompt.begin(time.Now())
		} else if !l.probed {
			l.probe(fd)
		}
		s.handler.ServeConn(s.ctx, conn)
		own.SetState(mpm.StateClosing)
		s.Child.finish(conn)
		conn.count()
		own.SetState(mpm.StateReady)
	}
	return nil
}

func (s *single) finish() { s.linger.finish(time.Now().Add(s.patience())) }

// outOfMemory reports whether too little is left of what the child may have, and
// notes it. Its heap never gets smaller, so it leaves for another one.
func (c *Child) outOfMemory() bool {
	c.spent = c.spent || c.Options.Privileges.Limits.MemoryBytes > 0 && !sys.HasMemoryRoom()
	return c.spent
}

// OutOfMemory reports whether Serve has returned because the child has used up what
// it may have of memory.
func (c *Child) OutOfMemory() bool { return c.spent }

// share is after how many connections the child leaves, 0 for never. The
// jitter keeps children that started together from leaving together.
func (c *Child) share() uint64 {
	n := uint64(c.Options.MaxConnectionsPerChild)
	if n >= 10 {
		n -= rand.Uint64N(n/10 + 1)
	}
	return n
}

// stopping reports whether this connection is to be one of the last: the
// generation is over or about to be, or the master is gone.
func (c *Child) stopping() bool {
	if crew := c.crew.Load(); crew != nil {
		return crew.hurried.Load()
	}
	return sys.Closed(c.hurryPipe) || sys.Closed(c.lifeline)
}

// leave is the end of a child that serves no more.
func (c *Child) leave(m model, err error) {
	c.phase.Store(int32(mpm.PhaseStopping))
	c.board.SetState(mpm.StateGraceful)
	c.letGo()
	graceful := err == nil && !sys.Closed(c.lifeline)
	if hook := c.hooks.ChildStopping; hook != nil {
		hook(graceful)
	}
	m.finish()
	c.timed.stop()
	_ = c.epoll.Close()
	if hook := c.hooks.ChildStopped; hook != nil {
		hook(graceful)
	}
}

// patience is how long peers have to read what was sent.
func (c *Child) patience() time.Duration {
	if sys.Closed(c.lifeline) {
		return lingerOrphan
	}
	return lingerIdle
}

// Prepare sets up this process for a child's or candidate's role: its name in
// process lists, and no signals of a terminal, which are the master's to act
// on, or of a log that cannot be written to.
func Prepare(name string) {
	_ = sys.SetName(name) // without /proc the name stays "exe"
	signal.Ignore(syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGPIPE,
		syscall.SIGXFSZ)
}
