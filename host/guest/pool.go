package guest

import (
	"context"
	"errors"
)

// Pool gives out prepared instances of one module, each in the state that
// preparation left it in: nothing a run did is seen by a later one. Its
// methods may be called concurrently.
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
	// Returned means that it ran to the end, or said itself that it was there.
	Returned
)

// EndOf says how a run ended that returned err.
func EndOf(err error) End {
	f, failed := errors.AsType[*Failure](err)
	if err == nil || failed && f.Kind == Exited {
		return Returned
	}
	return Failed
}

// Prepare makes an instance ready for its first run. What it returns becomes
// Instance.Prepared.
type Prepare func(s Session, i *Instance) (any, error)

// NewPool returns a pool of m's instances. Where a run can change nothing but
// memory and globals, these are put back after it, and the instance is used
// again; else each Get makes and prepares one.
func NewPool(m *Module, prepare Prepare) Pool {
	if m.resettable {
		return &imagePool{module: m, prepare: prepare}
	}
	return &freshPool{m, prepare}
}

// freshPool keeps nothing.
type freshPool struct {
	module  *Module
	prepare Prepare
}

func (p *freshPool) Get(s Session) (*Instance, error) {
	i, err := p.module.instantiate(s)
	if err != nil {
		return nil, err
	}
	if i.Prepared, err = p.prepare(s, i); err != nil {
		return nil, errors.Join(err, i.close(context.WithoutCancel(s)))
	}
	return i, nil
}

func (p *freshPool) Put(i *Instance, _ End) {
	if err := i.close(context.Background()); err != nil { // of a file, such as one on a network
		p.module.log.Warn("a guest's file could not be closed", "plugin", p.module.name, "error", err)
	}
}

func (p *freshPool) Module() *Module { return p.module }

func (p *freshPool) Close() error { return nil }
