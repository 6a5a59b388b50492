package guest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/apphost/apphost/host/internal/mem"
	"github.com/apphost/apphost/host/internal/wasmbin"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Runtime has an engine for each module, with the host functions of its ABIs and of WASI
// preview 1. A process has one. Its methods may be called concurrently.
type Runtime struct {
	cache *cache // nil without a directory
	abis  []ABI
	log   *slog.Logger

	wasi    []wasiFunc   // the engine's
	tracker *mem.Tracker // nil where the kernel has or allows none

	mu     sync.Mutex
	closes []api.Closer // what modules have of their own: engines, each before its cache, and folders after them
}

// Options is what NewRuntime needs.
type Options struct {
	// CacheDir keeps compiled code between processes. Empty means no cache.
	CacheDir string
	// KeepCache is for the one process of a server that looks after the
	// directory: it makes it, with mode 0700, if it is missing, fails if it
	// cannot be used, and takes away what is damaged or was not used for 30
	// days. Any other goes on without a cache then, and removes nothing.
	KeepCache bool
	// ABIs are those that guests may speak.
	ABIs []ABI
	// Logger is told of faults of the cache; nil drops them.
	Logger *slog.Logger
}

// NewRuntime makes one without modules.
//
// # Errors
//
//   - with KeepCache: the cache directory cannot be made or read, belongs to
//     someone else, or others may write to it
func NewRuntime(ctx context.Context, o Options) (*Runtime, error) {
	r := &Runtime{abis: o.ABIs, log: o.Logger}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if o.CacheDir != "" {
		var err error
		r.cache, err = openCache(o.CacheDir, o.KeepCache)
		switch {
		case err != nil && o.KeepCache:
			return nil, err
		case err != nil: // what a child needs is in the modules, and it must serve
			r.log.WarnContext(ctx, "compiling without the code cache", "error", err)
		}
	}
	var err error
	if r.tracker, err = mem.OpenTracker(); err != nil {
		r.log.DebugContext(ctx, "resetting guests without a tracker of written memory", "error", err)
	}
	if r.wasi, err = wasiFuncs(ctx); err != nil {
		return nil, errors.Join(err, r.Close(ctx))
	}
	return r, nil
}

// Close ends the engines and every instance of theirs. None may be running. It
// also takes old code away, with KeepCache.
func (r *Runtime) Close(ctx context.Context) error {
	var errs []error
	for _, c := range r.closes {
		errs = append(errs, c.Close(ctx))
	}
	r.closes = nil
	if r.tracker != nil {
		r.tracker.Close()
		r.tracker = nil
	}
	if r.cache != nil && r.cache.keeper { // now that what is in use is noted
		r.cache.prune()
	}
	return errors.Join(errs...)
}

// offer is what an engine offers its guests.
type offer struct {
	abis  []ABI
	wasi  []wasiFunc
	files bool // WASI's functions for files work
}

// provide makes the host functions of WASI and of an offer importable.
func provide(ctx context.Context, engine wazero.Runtime, offer offer) error {
	if err := provideWASI(ctx, engine, offer); err != nil {
		return fmt.Errorf("provide %s: %w", wasiModule, err)
	}
	// Of ABIs with the same import module each offers what all of them do: a
	// module was checked against its own.
	offered := map[string]bool{}
	for _, a := range offer.abis {
		if a.ImportModule == "" || offered[a.ImportModule] {
			continue
		}
		offered[a.ImportModule] = true
		if err := provideModule(ctx, engine, a.ImportModule, offer.abis); err != nil {
			return fmt.Errorf("provide %s: %w", a.ImportModule, err)
		}
	}
	return nil
}

// provideModule makes what abis have of an import module importable.
func provideModule(ctx context.Context, engine wazero.Runtime, name string, abis []ABI) error {
	builder := engine.NewHostModuleBuilder(name)
	added, parks := map[string]bool{}, ""
	for _, a := range abis {
		for _, f := range a.Funcs {
			if a.ImportModule != name || added[f.Name] {
				continue
			}
			added[f.Name] = true
			call := api.GoModuleFunc(park)
			if f.Name != a.Park {
				call = hostFunc(f)
			} else {
				parks = f.Name
			}
			builder.NewFunctionBuilder().
				WithGoModuleFunction(call, valueTypes(f.Type.Params), valueTypes(f.Type.Results)).
				WithName(f.Name).Export(f.Name)
		}
	}
	if _, err := builder.Instantiate(ctx); err != nil || parks == "" {
		return err
	}
	loop, err := compileTwice(ctx, engine, wasmbin.Loop(name, parks, parkAgain))
	if err != nil {
		return err
	}
	_, err = engine.InstantiateModule(ctx, loop, wazero.NewModuleConfig().WithName(name+loopSuffix))
	return err
}

func hostFunc(f HostFunc) api.GoModuleFunc {
	return func(ctx context.Context, m api.Module, stack []uint64) {
		guardOf(sessionIn(ctx)).enter(f.Name)
		f.Call(ctx, Memory{m.Memory()}, stack)
	}
}

// valueTypes turns a list of types as in the binary into the engine's.
func valueTypes(types string) []api.ValueType {
	return []api.ValueType(types)
}
