package prefork

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// spareThreads are more than the master needs at one time: it starts one process
// at a time, and writes a log and a few answers beside.
const spareThreads = 8

// Master runs a Parent with the real system.
type Master struct {
	cfg    Config
	events chan event
	facts  atomic.Pointer[mpm.Facts]
}

// NewMaster prepares a master; Run starts it.
func NewMaster(cfg Config) *Master {
	return &Master{cfg: cfg, events: make(chan event, 64)}
}

// StartError is returned by Run when the server could not start. Reasons are
// all that stood in the way, a line each, Warnings what else was found.
type StartError struct{ Reasons, Warnings []string }

func (e *StartError) Error() string { return strings.Join(e.Reasons, "\n") }

// Ask sends a request to the running master and waits for its result. It may
// be called by any goroutine. It fails only when ctx ends first.
func (m *Master) Ask(ctx context.Context, what Request) (Result, error) {
	reply := make(chan Result, 1)
	return m.send(ctx, requested{what, reply}, reply)
}

// Inspect returns how the running master and its children are. It may be
// called by any goroutine. It fails only when ctx ends first.
func (m *Master) Inspect(ctx context.Context) (Snapshot, error) {
	reply := make(chan Snapshot, 1)
	select {
	case m.events <- inspected{reply}:
	case <-ctx.Done():
		return Snapshot{}, ctx.Err()
	}
	return await(ctx, reply)
}

// Release ends the quarantine of a plugin of the serving generation. It may be
// called by any goroutine. It fails only when ctx ends first.
func (m *Master) Release(ctx context.Context, plugin string) (Result, error) {
	reply := make(chan Result, 1)
	return m.send(ctx, released{plugin, reply}, reply)
}

// await prefers an answer that is there to a ctx that has ended.
func await[T any](ctx context.Context, reply <-chan T) (T, error) {
	select {
	case r := <-reply:
		return r, nil
	case <-ctx.Done():
	}
	select {
	case r := <-reply:
		return r, nil
	default:
		var none T
		return none, ctx.Err()
	}
}

// Run starts the server and serves until it is stopped. It owns the process's
// children and the signals TERM, INT, QUIT, WINCH, HUP, USR1, CHLD, PIPE and XFSZ while it runs,
// so it is called once, and nothing else in the process may start or wait for
// processes.
//
// It returns nil after a stop that was asked for, a *StartError when the
// first generation never served, and another error when the master itself
// lacks what it needs, such as descriptors.
func (m *Master) Run() error {
	sys.ReadyThreads(spareThreads)
	system, from, err := m.system()
	if err != nil {
		return err
	}
	defer system.release()
	p := newParent(m.cfg, system)

	signals := notify(m.cfg.Hangup, m.cfg.OnTerminal, m.cfg.Upgrade.Takeover)
	defer signals.stop()

	if t := m.cfg.Upgrade.Takeover; t != nil {
		p.adopt(t.state, from, time.Now())
		p.reap(time.Now()) // who ended in between
	} else {
		p.begin(time.Now())
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next := p.advance(time.Now())
		if p.departs() {
			m.depart(p, system, signals)
			continue
		}
		system.settle(p)
		m.publish(p.facts())
		if p.done(time.Now()) {
			break
		}
		if next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
		select {
		case ev := <-m.events:
			p.handle(ev, time.Now())
		case ev := <-signals.events:
			p.handle(ev, time.Now())
		case <-timer.C:
		}
		m.catchUp(p)
	}
	if err := p.leftover(); err != nil {
		return err
	}
	p.release()
	if p.failed != nil {
		return &StartError{Reasons: p.failed.Errors, Warnings: p.failed.Warnings}
	}
	return nil
}

// Query answers a question about the model that runs. It may be called by any
// goroutine, at any time; see mpm.Facts.
func (m *Master) Query(code mpm.QueryCode) (int, error) {
	if f := m.facts.Load(); f != nil {
		return f.Query(code)
	}
	return mpm.Facts{}.Query(code)
}

// publish makes facts known to other goroutines.
func (m *Master) publish(f mpm.Facts) {
	if old := m.facts.Load(); old == nil || *old != f {
		m.facts.Store(&f)
	}
}

// Monotonic is the time on the system's monotonic clock, which other processes
// read too; see CLOCK_MONOTONIC in clock_gettime(2).
func Monotonic() time.Duration { return sys.Monotonic() }

// catchUp takes in what has happened already, before deadlines are looked at:
// a master that was stopped for a while must not punish others for it.
func (m *Master) catchUp(p *Parent) {
	for range cap(m.events) {
		select {
		case ev := <-m.events:
			p.handle(ev, time.Now())
		default:
			return
		}
	}
}

// TryOut runs a candidate without a server around it, for checking a
// configuration. It returns what the candidate has to say; a candidate that
// does not end within each step's time is killed. Like Run it owns the
// process's children and signals meanwhile.
//
// # Errors
//
// A *StartError has the reasons against the configuration.
func TryOut(cfg Config) (notes, warnings []string, err error) {
	events := make(chan event, 64)
	sys, err := newLinux(cfg, events)
	if err != nil {
		return nil, nil, err
	}
	defer sys.release()
	p := newParent(cfg, sys)
	signals := notify(nil, true, nil)
	defer signals.stop()

	p.begin(time.Now())
	r := p.reload
	if r == nil {
		return nil, nil, &StartError{Reasons: p.failed.Errors}
	}
	t := r.trial
	defer t.proc.release()
	for !t.exited || !t.closed {
		var overdue <-chan time.Time
		if !t.deadline.IsZero() {
			overdue = time.After(time.Until(t.deadline))
		}
		select {
		case ev := <-events:
			p.handle(ev, time.Now())
		case ev := <-signals.events:
			if _, asked := ev.(requested); asked {
				t.errors = append(t.errors, "interrupted")
				t.deadline = time.Time{}
				err = errors.Join(err, t.proc.signal(syscall.SIGKILL))
				continue
			}
			p.handle(ev, time.Now())
		case <-overdue:
			if t.overdue(time.Now()) {
				err = errors.Join(err, t.proc.signal(syscall.SIGKILL))
			}
		}
	}
	if faults := t.verdict(); len(faults) > 0 {
		return t.notes, t.warnings, errors.Join(&StartError{Reasons: faults}, err)
	}
	return t.notes, t.warnings, err
}
