package guest

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Runtime is the engine with the host functions of its ABIs and of WASI
// preview 1. A process has one. Its methods may be called concurrently.
type Runtime struct {
	engine   wazero.Runtime
	cache    wazero.CompilationCache // nil without a directory
	cacheDir string
	abis     []ABI
}

// Options is what NewRuntime needs.
type Options struct {
	// CacheDir keeps compiled code between processes; it is made with mode
	// 0700 if missing. Empty means no cache.
	CacheDir string
	// ABIs are those that guests may speak.
	ABIs []ABI
}

// NewRuntime starts an engine.
//
// # Errors
//
//   - the cache directory cannot be made, or others may write to it
func NewRuntime(ctx context.Context, o Options) (*Runtime, error) {
	r := &Runtime{cacheDir: o.CacheDir, abis: o.ABIs}
	config := wazero.NewRuntimeConfig()
	if o.CacheDir != "" {
		if err := openCache(o.CacheDir); err != nil {
			return nil, err
		}
		cache, err := wazero.NewCompilationCacheWithDir(o.CacheDir)
		if err != nil {
			return nil, fmt.Errorf("open code cache: %w", err)
		}
		r.cache = cache
		config = config.WithCompilationCache(cache)
	}
	r.engine = wazero.NewRuntimeWithConfig(ctx, config)
	if err := r.provide(ctx); err != nil {
		return nil, errors.Join(err, r.Close(ctx))
	}
	return r, nil
}

// Close ends the engine and every instance of it. None may be running.
func (r *Runtime) Close(ctx context.Context) error {
	err := r.engine.Close(ctx)
	if r.cache != nil {
		err = errors.Join(err, r.cache.Close(ctx))
	}
	return err
}

// provide makes the host functions importable.
func (r *Runtime) provide(ctx context.Context) error {
	if err := provideWASI(ctx, r.engine); err != nil {
		return fmt.Errorf("provide %s: %w", wasiModule, err)
	}
	for i := range r.abis {
		builder := r.engine.NewHostModuleBuilder(r.abis[i].ImportModule)
		for _, f := range r.abis[i].Funcs {
			builder.NewFunctionBuilder().
				WithGoModuleFunction(hostFunc(f.Call), valueTypes(f.Type.Params), valueTypes(f.Type.Results)).
				WithName(f.Name).Export(f.Name)
		}
		if _, err := builder.Instantiate(ctx); err != nil {
			return fmt.Errorf("provide %s: %w", r.abis[i].ImportModule, err)
		}
	}
	return nil
}

func hostFunc(call func(context.Context, Memory, []uint64)) api.GoModuleFunc {
	return func(ctx context.Context, m api.Module, stack []uint64) {
		call(ctx, Memory{m.Memory()}, stack)
	}
}

// valueTypes turns a list of types as in the binary into the engine's.
func valueTypes(types string) []api.ValueType {
	return []api.ValueType(types)
}
