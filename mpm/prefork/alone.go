package prefork

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
	"github.com/apphost/apphost/mpm/listen"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// Alone is a server of one process, for a debugger: it binds, accepts and
// serves, as the model has it. There are no children, so nothing is
// replaced, reloaded or limited in time, and a crash is the end. No hook runs.
type Alone struct {
	// Options are those of a generation; what they say of children, and of logs,
	// means nothing here.
	Options *mpm.Options
	// Environment is the process's own.
	Environment []string
	// Serving, if set, is called when the listeners are bound.
	Serving func([]Socket)
}

// Serve serves until SIGTERM, SIGINT or SIGHUP, and then finishes what is
// being served; a second signal ends the process.
func (a *Alone) Serve(ctx context.Context, h mpm.ConnHandler) (err error) {
	pid := pidFile{pid: os.Getpid()}
	if err := pid.hold(a.Options.PIDFile); err != nil {
		return err
	}
	defer pid.release()
	var table listen.Table
	if err := table.Inherit(a.Environment, os.Getpid()); err != nil {
		return err
	}
	socks, err := table.Acquire(a.Options.Listeners)
	if err != nil {
		return err
	}
	defer table.Release(socks)
	var generation, lifeline, gate, hurry pipe
	pipes := []*pipe{&generation, &lifeline, &gate, &hurry}
	defer func() {
		for _, p := range pipes {
			p.close()
		}
	}()
	for _, p := range pipes {
		if p.r, p.w, err = sys.Pipe(); err != nil {
			return err
		}
	}
	gate.closeWriter() // open from the start
	board, err := scoreboard.New(0, a.Options.Threads(), 0)
	if err != nil {
		return fmt.Errorf("make scoreboard: %w", err)
	}
	defer func() { err = errors.Join(err, board.Close()) }()

	flags, err := newFlags(a.Options)
	if err != nil {
		return fmt.Errorf("make scoreboard: %w", err)
	}
	defer func() { err = errors.Join(err, flags.Close()) }()

	c := &Child{
		Generation: 1, Options: a.Options, board: board, pod: sys.None, lent: true,
		generation: generation.r, lifeline: lifeline.r, gate: gate.r, hurryPipe: hurry.r, clock: sys.NewClock(),
	}
	for _, s := range socks {
		c.listeners = append(c.listeners, childListener{fd: s.FD(0), name: s.Name})
	}
	c.flags.Store(flags)
	defer onFirstSignal(func() {
		flags.Set(len(a.Options.Codes), true)
		hurry.closeWriter()
		generation.closeWriter()
	})()
	if a.Serving != nil {
		a.Serving(sockets(socks))
	}
	if err := c.watch(); err != nil {
		return err
	}
	m, err := c.model(ctx, h)
	if err != nil {
		return err
	}
	c.showReady()
	c.phase.Store(int32(mpm.PhaseRunning))
	err = m.serve(0)
	c.leave(m, err)
	return err
}

// onFirstSignal calls end at the first signal to end, after which they do what
// they do to any process. The function returned undoes it, and waits for end.
func onFirstSignal(end func()) (undo func()) {
	signals := []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}
	signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ)
	pending, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(pending, signals...)
	var group sync.WaitGroup
	group.Go(func() {
		select {
		case <-pending:
			signal.Reset(signals...)
			end()
		case <-done:
		}
	})
	return func() {
		close(done)
		group.Wait()
		signal.Stop(pending)
	}
}
