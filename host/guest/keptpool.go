package guest

import (
	"context"
	"errors"
)

// keptPool uses instances again as they are.
type keptPool struct {
	module  *Module
	prepare Prepare
	shelf   shelf
}

func (p *keptPool) Module() *Module { return p.module }

func (p *keptPool) Warm(s Session, n int) error { return warm(p, s, n) }

func (p *keptPool) Get(s Session) (*Instance, error) {
	if i := p.shelf.take(); i != nil {
		return i, nil
	}
	defer guardOf(s).prepare()()
	i, err := p.module.instantiate(s, nil)
	if err == nil {
		if i.Prepared, err = p.prepare(s, i); err != nil {
			err = errors.Join(err, i.close(context.WithoutCancel(s)))
		}
	}
	if err != nil {
		p.shelf.put(nil)
		return nil, err
	}
	return i, nil
}

func (p *keptPool) Put(i *Instance, end End) {
	i.output.flush()
	if end != Returned {
		closeInstance(i)
		i = nil
	}
	p.shelf.put(i)
}

func (p *keptPool) Close() error {
	p.shelf.clear()
	return nil
}
