package guest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tetratelabs/wazero"

	"github.com/apphost/apphost/host/internal/mem"
	"github.com/apphost/apphost/host/internal/wasmbin"
)

// compiled is a module's machine code and the engine that has it.
type compiled struct {
	engine wazero.Runtime
	code   wazero.CompiledModule
	// keepsTables is what wasmbin.KeepsTables says, which takes as long as
	// loading the code.
	keepsTables bool
}

// compile makes machine code of a module, or takes it from the cache. A fault of
// the cache is logged, and costs the time to compile in each process.
func (r *Runtime) compile(ctx context.Context, name string, module *original, offer offer) (*compiled, error) {
	if r.cache != nil {
		c, err := r.compileCached(ctx, name, module, offer)
		var invalid *invalidError
		switch {
		case err == nil:
			return c, nil
		case errors.As(err, &invalid):
			return nil, invalid.error
		}
		r.log.WarnContext(ctx, "compiled without the code cache", "plugin", name, "cache", r.cache.dir, "error", err)
	}
	engine, err := r.newEngine(ctx, offer)
	if err != nil {
		return nil, err
	}
	wasm := module.rewritten()
	code, err := compileModule(ctx, engine, wasm)
	if err != nil {
		return nil, err
	}
	return &compiled{engine, code, wasmbin.KeepsTables(wasm)}, nil
}

// invalidError is a fault of the module, not of the cache.
type invalidError struct{ error }

// compileCached compiles with the module's folder in the cache, or makes that.
func (r *Runtime) compileCached(ctx context.Context, name string, module *original, offer offer) (*compiled, error) {
	key := module.key()
	folder, err := r.cache.find(key)
	if err == nil {
		c, errFound := r.compileFound(ctx, name, folder, module, offer)
		if !errors.Is(errFound, errNoCode) {
			return c, errFound
		}
		err = errFound // made on a machine that differs in what it can do
	}
	if !errors.Is(err, fs.ErrNotExist) {
		if !r.cache.keeper {
			return nil, err
		}
		if err := r.cache.discard(key); err != nil {
			return nil, fmt.Errorf("remove a damaged entry: %w", err)
		}
	}
	temp, err := r.cache.temp()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp) //nolint:errcheck // published, it is not there; else the keeper removes it one day
	wasm := module.rewritten()
	c, err := r.compileIn(ctx, temp, offer, func(engine wazero.Runtime) (wazero.CompiledModule, error) {
		code, err := compileGiven(ctx, engine, wasm)
		if err != nil {
			return nil, err
		}
		return code, addSkeleton(ctx, temp, wasm) // before anything else is there
	})
	if err != nil {
		return nil, err
	}
	c.keepsTables = wasmbin.KeepsTables(wasm)
	if code := machineCode(c.code); mem.SharesCode && len(code) >= shareBytesMin {
		if err := splitCode(temp, code); err != nil {
			r.notShared(ctx, name, err)
		}
	}
	if err := r.cache.publish(temp, key, c.keepsTables); err != nil { // the code is here, the next process misses it
		r.log.WarnContext(ctx, "compiled code is not kept", "cache", r.cache.dir, "error", err)
	}
	return c, nil
}

// compileFound takes the code from a folder that was found.
func (r *Runtime) compileFound(ctx context.Context, name, folder string, module *original, offer offer) (*compiled, error) {
	r.cache.used(folder)
	c, err := r.loadIn(ctx, name, folder, module, offer)
	if err != nil {
		return nil, err
	}
	c.keepsTables = r.cache.keepsTables(folder)
	return c, nil
}

// loadIn loads by the skeleton, if the folder has one.
func (r *Runtime) loadIn(ctx context.Context, name, folder string, module *original, offer offer) (*compiled, error) {
	skeleton, err := os.ReadFile(filepath.Join(folder, skeletonName))
	if errors.Is(err, fs.ErrNotExist) {
		return r.compileIn(ctx, folder, offer, func(engine wazero.Runtime) (wazero.CompiledModule, error) {
			return compileGiven(ctx, engine, module.rewritten())
		})
	}
	if err != nil {
		return nil, err
	}
	return r.compileIn(ctx, folder, offer, func(engine wazero.Runtime) (wazero.CompiledModule, error) {
		code, err := loadSkeleton(ctx, engine, skeleton)
		if err != nil {
			return nil, err
		}
		return code, r.giveCode(ctx, name, code, folder)
	})
}

// compileIn compiles, as code says, with an engine whose cache is folder: an engine
// has one cache for as long as it lives, so each module gets an engine of its own.
func (r *Runtime) compileIn(
	ctx context.Context, folder string, offer offer, code func(wazero.Runtime) (wazero.CompiledModule, error),
) (*compiled, error) {
	cache, err := wazero.NewCompilationCacheWithDir(folder)
	if err != nil {
		return nil, err
	}
	engine := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(cache))
	r.mu.Lock()
	r.closes = append(r.closes, engine, cache)
	r.mu.Unlock()
	c := &compiled{engine: engine}
	if c.code, err = code(engine); err != nil {
		return nil, err
	}
	return c, provide(ctx, engine, offer)
}

// newEngine makes an engine without a cache.
func (r *Runtime) newEngine(ctx context.Context, offer offer) (wazero.Runtime, error) {
	engine := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig())
	r.mu.Lock()
	r.closes = append(r.closes, engine)
	r.mu.Unlock()
	return engine, provide(ctx, engine, offer)
}

// compileGiven is compileTwice for a module that was given.
func compileGiven(ctx context.Context, engine wazero.Runtime, wasm []byte) (wazero.CompiledModule, error) {
	code, err := compileTwice(ctx, engine, wasm)
	if err != nil {
		return nil, &invalidError{err}
	}
	return code, nil
}

// compileTwice is compileModule for an engine with a cache: it also fails when it
// may not write to that, although by then it has the code in memory.
func compileTwice(ctx context.Context, engine wazero.Runtime, wasm []byte) (wazero.CompiledModule, error) {
	code, err := compileModule(ctx, engine, wasm)
	if err != nil {
		code, err = compileModule(ctx, engine, wasm)
	}
	return code, err
}

// compileModule is the engine's CompileModule, a panic of the compiler made
// an error.
func compileModule(ctx context.Context, engine wazero.Runtime, wasm []byte) (code wazero.CompiledModule, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the compiler panicked: %v", p)
		}
	}()
	return engine.CompileModule(ctx, wasm)
}
