package guest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/tetratelabs/wazero/api"

	"github.com/apphost/apphost/host/internal/mem"
)

// imagePool keeps instances and puts each back, after a run, into the state that
// preparation left the first one in: its memory and its mutable globals. The
// first one is prepared by the guest's own code; the others get its image.
//
// What preparation drew at random, such as the seed of a hash, is therefore the
// same in all runs.
//
// Of a program each is prepared by the guest's own code, since where a program has
// parked cannot be given to another instance. They have the same origin, so that
// nearly always they become the same, and share the image of the first one; one that
// does not has an image of its own.
type imagePool struct {
	module  *Module
	prepare Prepare

	shelf shelf

	mu    sync.Mutex
	image *image // nil before the first instance

	origin *origin // of programs
}

// image is what a prepared instance is: its memory, its globals, and what its
// Prepare returned.
type image struct {
	memory   *mem.Image // nil of an empty memory
	method   mem.Method // how memories are put back to it
	own      bool       // memory is closed with the one instance that has it
	globals  []uint64
	prepared any
}

func (p *imagePool) Module() *Module { return p.module }

func (p *imagePool) Warm(s Session, n int) error { return warm(p, s, n) }

func (p *imagePool) Get(s Session) (*Instance, error) {
	if i := p.shelf.take(); i != nil {
		return i, nil
	}
	i, err := p.make(s)
	if err != nil {
		p.shelf.put(nil)
		return nil, err
	}
	return i, nil
}

func (p *imagePool) make(s Session) (*Instance, error) {
	p.mu.Lock()
	img := p.image
	p.mu.Unlock()
	defer guardOf(s).prepare()()
	i, err := p.module.instantiate(s, p.origin)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Instance, error) {
		return nil, errors.Join(err, i.close(context.WithoutCancel(s)))
	}
	for _, name := range p.module.globals {
		i.globals = append(i.globals, i.wasm.ExportedGlobal(name).(api.MutableGlobal))
	}
	if i.program != nil {
		i.program.replay = true
	}
	if img == nil || i.program != nil {
		prepared, err := p.prepare(s, i)
		if err != nil {
			return fail(err)
		}
		i.output.flush()
		if img, err = p.keep(i, prepared); err != nil {
			return fail(err)
		}
	}
	if world := i.output.world; world != nil {
		world.real = true
	}
	if err := i.adopt(img, p.module.tracker); err != nil {
		return fail(err)
	}
	return i, nil
}

// keep makes the prepared instance the image of the pool, unless another one was
// faster. A program that is not like that has an image of its own.
func (p *imagePool) keep(i *Instance, prepared any) (*image, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.image != nil && i.program == nil {
		return p.image, nil
	}
	img := &image{prepared: prepared}
	for _, g := range i.globals {
		img.globals = append(img.globals, g.Get())
	}
	content, ok := i.wasm.Memory().Read(0, i.wasm.Memory().Size())
	if !ok {
		panic("BUG: a memory is shorter than its size")
	}
	if p.image != nil && p.image.is(img.globals, content) {
		return p.image, nil
	}
	if len(content) > 0 {
		var err error
		if img.memory, err = mem.NewImage(content); err != nil {
			return nil, fmt.Errorf("plugin %q: %w", p.module.name, err)
		}
	}
	if img.memory != nil {
		img.method = img.memory.Method(p.module.tracker)
	}
	if p.image != nil {
		img.own = img.memory != nil
		return img, nil
	}
	p.image = img
	return img, nil
}

// is reports whether the image has these globals and this memory.
func (img *image) is(globals []uint64, memory []byte) bool {
	if !slices.Equal(img.globals, globals) {
		return false
	}
	if img.memory == nil {
		return len(memory) == 0
	}
	return img.memory.Is(memory)
}

func (p *imagePool) Put(i *Instance, end End) {
	i.output.flush()
	if end == Failed || i.reset() != nil {
		closeInstance(i)
		i = nil
	}
	p.shelf.put(i)
}

func (p *imagePool) Close() error {
	p.shelf.clear()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.image == nil || p.image.memory == nil {
		return nil
	}
	err := p.image.memory.Close()
	p.image = nil
	return err
}

func closeInstance(i *Instance) {
	if err := i.close(context.Background()); err != nil { // of a file, such as one on a network
		i.module.log.Warn("a guest's file could not be closed", "plugin", i.module.name, "error", err)
	}
}

// adopt brings the instance into the state of img, to which reset returns.
func (i *Instance) adopt(img *image, t *mem.Tracker) error {
	i.image, i.Prepared = img, img.prepared
	if img.memory != nil {
		if err := i.memory.Adopt(img.memory, t); err != nil {
			return err
		}
	}
	if err := i.resize(); err != nil {
		return err
	}
	i.putGlobals()
	return nil
}

// reset puts memory and globals back. After an error the instance is of no use.
func (i *Instance) reset() error {
	if i.program != nil {
		if err := i.program.reset(); err != nil {
			return err
		}
	}
	if i.image.memory != nil {
		if err := i.memory.Reset(); err != nil {
			return err
		}
	}
	i.putGlobals()
	return i.resize()
}

func (i *Instance) putGlobals() {
	for n, g := range i.globals {
		g.Set(i.image.globals[n])
	}
}

// resize gives the memory the size of the image. The engine has no way to make
// one smaller, but takes what it is given when it asks for more.
func (i *Instance) resize() error {
	want := uint32(0)
	if i.image.memory != nil {
		want = uint32(i.image.memory.Size())
	}
	memory := i.wasm.Memory()
	size := memory.Size()
	switch {
	case size == want:
		return nil
	case size > want && want > 0:
		i.memory.Shrink()
		if _, ok := memory.Grow(1); !ok {
			return errors.New("the memory is at its maximum and cannot shrink")
		}
	case size < want:
		if _, ok := memory.Grow((want - size) / pageBytes); !ok {
			return errors.New("the memory cannot grow to its image")
		}
	}
	if memory.Size() != want {
		return errors.New("the memory has another size than its image")
	}
	return nil
}
