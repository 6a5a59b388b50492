package guest

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/apphost/apphost/host/internal/mem"
	"github.com/apphost/apphost/sdk/abi"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// Instance is a module with a memory and globals of its own. One goroutine
// uses it at a time.
type Instance struct {
	module *Module
	wasm   api.Module
	memory *mem.Region
	// funcs are the functions called so far. There are few, and each lookup
	// in the engine allocates a stack.
	funcs  []cachedFunc
	output *output
	// overflowed means that it has recursed until its stack was at the engine's
	// limit, which is tens of MiB on the Go heap.
	overflowed bool

	program *program // nil of one that is not run in parts

	// Of a pool that resets its instances.
	image   *image
	globals []api.MutableGlobal

	// Prepared is what the pool's Prepare returned for this instance.
	Prepared any
}

type cachedFunc struct {
	name string
	fn   api.Function
}

// instantiate makes a fresh instance. The module's own start function runs,
// and nothing else. from is nil if the instance need not be like others.
func (m *Module) instantiate(s Session, from *origin) (*Instance, error) {
	region, err := mem.Reserve(m.memory.Min*pageBytes, m.memory.Max*pageBytes)
	if err != nil {
		return nil, fmt.Errorf("instantiate plugin %q: %w", m.name, err)
	}
	out := &output{session: s}
	ctx := experimental.WithMemoryAllocator(context.WithValue(s, sessionKey{}, s),
		experimental.MemoryAllocatorFunc(func(uint64, uint64) experimental.LinearMemory { return region }))
	config := m.config.WithStdin(stdin{out}).WithStdout(out.stream(stdoutName)).WithStderr(out.stream(stderrName)).
		WithNanosleep(out.sleep)
	if from != nil {
		out.world = from.world()
		config = out.world.config(config)
	}
	guard := guardOf(s)
	guard.run() // the start function is the guest's code
	wasm, err := m.engine.InstantiateModule(ctx, m.code, config)
	guard.Pause()
	if err != nil {
		region.Free() // the engine forgets it when a start function fails
		return nil, classify("instantiate", err)
	}
	i := &Instance{module: m, wasm: wasm, memory: region, output: out}
	if m.parks {
		i.program = &program{}
	}
	return i, nil
}

// close frees the instance's memory.
func (i *Instance) close(ctx context.Context) error {
	i.output.flush()
	if i.program != nil {
		i.program.stop()
	}
	err := i.wasm.Close(ctx)
	i.memory.Free()
	if i.image != nil && i.image.own {
		err = errors.Join(err, i.image.memory.Close())
	}
	if i.overflowed {
		// The collector would leave it for long: guests have the memory that
		// grows, and the Go heap hardly does.
		i.funcs = nil
		debug.FreeOSMemory()
	}
	return err
}

// Exports reports whether the guest exports a function of that name.
func (i *Instance) Exports(fn string) bool { return i.module.Exports(fn) }

// Call runs an exported function, which must exist. stack holds its
// parameters and afterwards its result; it needs a slot for the larger number
// of both. The error is nil or a [*Failure].
func (i *Instance) Call(s Session, fn string, stack []uint64) error {
	i.output.session = s
	f, guard := i.function(fn), guardOf(s)
	guard.run()
	err := f.CallWithStack(s, stack)
	guard.Pause()
	if err != nil {
		failure := classify(fn, err)
		i.overflowed = failure.Kind == StackOverflow
		return failure
	}
	return nil
}

func (i *Instance) function(name string) api.Function {
	for _, c := range i.funcs {
		if c.name == name {
			return c.fn
		}
	}
	fn := i.wasm.ExportedFunction(name)
	if fn == nil {
		panic("BUG: call of " + name + ", which the guest does not export")
	}
	i.funcs = append(i.funcs, cachedFunc{name, fn})
	return fn
}

// Starter is the function that Initialize runs, or "": _initialize of a
// reactor, or _start of a command. A module that has both is a reactor.
func (i *Instance) Starter() string {
	for _, fn := range [...]string{abi.Initialize, abi.Start} {
		if i.Exports(fn) {
			return fn
		}
	}
	return ""
}

// Initialize runs the guest's language runtime up. For a command, to exit with
// code 0 is to succeed.
func (i *Instance) Initialize(s Session) error {
	fn := i.Starter()
	if fn == "" {
		return nil
	}
	err := i.Call(s, fn, nil)
	if f, ok := errors.AsType[*Failure](err); ok && fn == abi.Start && f.Kind == Exited && f.ExitCode == 0 {
		return nil
	}
	return err
}

// Memory is the guest's memory, for those who look at an instance from
// outside a host function. It must not be used while the guest runs.
func (i *Instance) Memory() Memory { return Memory{i.wasm.Memory()} }
