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
	// Failed means that the guest trapped, exited or was aborted somewhere in
	// the middle: its state is not to be trusted, and the instance is lost.
	Failed End = iota
	// Returned means that it ran to the end.
	Returned
)

// EndOf says how a run ended that returned err.
func EndOf(err error) End {
	if err == nil {
		return Returned
	}
	return Failed
}

// Prepare makes an instance ready for its first run. What it returns becomes
// Instance.Prepared.
type Prepare func(s Session, i *Instance) (any, error)

// NewPool returns a pool that makes an instance for each Get and prepares it.
func NewPool(m *Module, prepare Prepare) Pool {
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
	if err := i.close(context.Background()); err != nil {
		panic("BUG: close of an instance without files failed: " + err.Error())
	}
}

func (p *freshPool) Module() *Module { return p.module }

func (p *freshPool) Close() error { return nil }
