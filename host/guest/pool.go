package guest

import (
	"context"
	"errors"
)

// Pool gives out prepared instances of one module. Its methods may be called
// concurrently.
type Pool interface {
	// Get returns an instance for one run, which the caller gives back with
	// Put. s is the session of its preparation, should that be needed.
	//
	// # Errors
	//
	//   - a *Failure, or what Prepare returned: the guest failed
	//   - otherwise the host lacks memory
	Get(s Session) (*Instance, error)

	// Put takes an instance back after its last run and says how that ended.
	Put(i *Instance, end End)

	// Warm makes instances ahead, so that at least n are idle, none being out.
	// One that is made anew for each run is made once, to see that it can be.
	// The errors are those of Get.
	Warm(s Session, n int) error

	// Reuse says in words how an instance becomes one for the next run.
	Reuse() string

	// Module is what the instances are of.
	Module() *Module

	// Close ends the pool. No instance may be out.
	Close() error
}

// End is how a run ended.
type End int

// The ends of a run.
const (
	// Failed means that the guest trapped or was aborted somewhere in the
	// middle: the instance is lost.
	Failed End = iota
	// Returned means that it ran to the end.
	Returned
	// Ended means that it called proc_exit: it is done, and will not run again
	// as it is.
	Ended
)

// EndOf says how a run ended that returned err.
func EndOf(err error) End {
	if err == nil {
		return Returned
	}
	if f, ok := errors.AsType[*Failure](err); ok && f.Kind == Exited {
		return Ended
	}
	return Failed
}

// Prepare makes an instance ready for its first run. What it returns becomes
// Instance.Prepared.
type Prepare func(s Session, i *Instance) (any, error)

// Isolation says what a run may see of those before it.
type Isolation int

// The isolations.
const (
	// Fresh is nothing: each run has an instance as preparation left it.
	Fresh Isolation = iota
	// Own is nothing either, and preparation belongs to the run: it has the run's
	// session, and is not shared with other runs.
	Own
	// Kept is all that earlier runs of the same instance have left, for guests
	// that keep something between runs and are trusted with all their clients.
	Kept
)

// NewPool returns a pool of m's instances. For Fresh, where a run can change
// nothing but memory and globals, these are put back after it, and the instance
// is used again; else each Get makes and prepares one.
func NewPool(m *Module, prepare Prepare, isolation Isolation) Pool {
	switch {
	case isolation == Kept:
		return &keptPool{module: m, prepare: prepare}
	case m.madeAnew == "" && isolation == Fresh:
		p := &imagePool{module: m, prepare: prepare}
		if m.parks {
			p.origin = newOrigin()
		}
		return p
	}
	return &freshPool{m, prepare}
}

// warm is Warm of pools that keep instances.
func warm(p Pool, s Session, n int) error {
	made := make([]*Instance, 0, n)
	var err error
	for range n {
		var i *Instance
		if i, err = p.Get(s); err != nil {
			break
		}
		made = append(made, i)
	}
	for _, i := range made {
		p.Put(i, Returned)
	}
	return err
}

// freshPool keeps nothing.
type freshPool struct {
	module  *Module
	prepare Prepare
}

func (p *freshPool) Get(s Session) (*Instance, error) {
	defer guardOf(s).prepare()()
	i, err := p.module.instantiate(s, nil)
	if err != nil {
		return nil, err
	}
	if i.Prepared, err = p.prepare(s, i); err != nil {
		return nil, errors.Join(err, i.close(context.WithoutCancel(s)))
	}
	return i, nil
}

func (p *freshPool) Put(i *Instance, _ End) {
	closeInstance(i)
}

func (p *freshPool) Warm(s Session, _ int) error { return warm(p, s, 1) }

func (p *freshPool) Module() *Module { return p.module }

func (p *freshPool) Close() error { return nil }
