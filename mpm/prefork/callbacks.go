package prefork

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// Begin takes the hooks of a child and runs those that are due before anything
// of the generation is loaded: mpm.Hooks.DropPrivileges, then ChildInit. It is
// called after OpenChild, if at all.
func (c *Child) Begin(h mpm.Hooks) error {
	c.hooks = h
	if h.DropPrivileges != nil {
		if err := h.DropPrivileges(); err != nil {
			return fmt.Errorf("drop privileges: %w", err)
		}
	}
	if h.ChildInit != nil {
		if err := h.ChildInit(); err != nil {
			return fmt.Errorf("initialize child: %w", err)
		}
	}
	return nil
}

// Begin takes the hooks of a candidate and runs mpm.Hooks.PreConfig. It is
// called after OpenCandidate, if at all.
func (c *Candidate) Begin(h mpm.Hooks) error {
	c.hooks = h
	if h.PreConfig != nil {
		return h.PreConfig()
	}
	return nil
}

var _ mpm.Process = (*Child)(nil)

// Query answers a question about the model, as mpm.Process has it.
func (c *Child) Query(code mpm.QueryCode) (int, error) {
	phase := mpm.Phase(c.phase.Load())
	if phase == mpm.PhaseRunning && c.stopping() {
		phase = mpm.PhaseStopping
	}
	return mpm.Facts{Options: c.Options, Phase: phase, Generation: c.Generation}.Query(code)
}

// RegisterTimedCallback runs fn after d, as mpm.Process has it.
func (c *Child) RegisterTimedCallback(d time.Duration, fn func()) error {
	if !c.Options.Model.TimedCallbacks() {
		return mpm.ErrNotImplemented
	}
	c.timed.add(d, fn)
	return nil
}

// timedCallbacks are those that are not due yet or run.
type timedCallbacks struct {
	mu      sync.Mutex
	over    bool
	pending map[*time.Timer]struct{}
	running sync.WaitGroup
}

func (t *timedCallbacks) add(d time.Duration, fn func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	if t.pending == nil {
		t.pending = make(map[*time.Timer]struct{})
	}
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		t.mu.Lock() // also until timer is set
		over := t.over
		delete(t.pending, timer)
		if !over {
			t.running.Add(1)
		}
		t.mu.Unlock()
		if !over {
			defer t.running.Done()
			fn()
		}
	})
	t.pending[timer] = struct{}{}
}

// stop drops those that are not due and waits for those that run.
func (t *timedCallbacks) stop() {
	t.mu.Lock()
	t.over = true
	for timer := range t.pending {
		timer.Stop()
	}
	t.mu.Unlock()
	t.running.Wait()
}

// guard makes the fatal-exception hook see a handler's panic and the signals
// of a crash, if there is such a hook.
func (c *Child) guard(h mpm.ConnHandler) mpm.ConnHandler {
	report := c.crashReport(os.Geteuid())
	if report == nil {
		return h
	}
	crashes := make(chan os.Signal, 1)
	signal.Notify(crashes, syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGABRT, syscall.SIGILL, syscall.SIGFPE)
	go func() {
		sig, _ := (<-crashes).(syscall.Signal)
		report(mpm.FatalException{PID: os.Getpid(), Signal: int(sig)})
		signal.Reset(sig)
		sys.Raise(sig)
	}()
	return guarded{h, report}
}

type guarded struct {
	mpm.ConnHandler
	report func(mpm.FatalException)
}

func (g guarded) ServeConn(ctx context.Context, c mpm.Conn) {
	returned := false
	defer func() {
		if !returned { // a panic, which goes on as it came
			g.report(mpm.FatalException{PID: os.Getpid(), Stack: debug.Stack()})
		}
	}()
	g.ConnHandler.ServeConn(ctx, c)
	returned = true
}

// crashReport is the fatal-exception hook made safe: it runs once and for a
// while only. It is nil for root, or if there is none.
func (c *Child) crashReport(euid int) func(mpm.FatalException) {
	hook := c.hooks.FatalException
	if hook == nil || euid == 0 {
		return nil
	}
	return func(what mpm.FatalException) {
		c.crashed.Do(func() {
			done := make(chan struct{})
			go func() {
				defer close(done)
				hook(what)
			}()
			select {
			case <-done:
			case <-time.After(mpm.FatalExceptionPatience):
			}
		})
	}
}
