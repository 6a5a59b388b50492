package guest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tetratelabs/wazero"

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
	engine := r.engine
	if offer.files {
		var err error
		if engine, err = r.newEngine(ctx, offer); err != nil {
			return nil, err
		}
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
	c, err := r.compileIn(ctx, temp, wasm, offer)
	if err != nil {
		return nil, err
	}
	if err := addSkeleton(ctx, temp, wasm); err != nil {
		return nil, err
	}
	c.keepsTables = wasmbin.KeepsTables(wasm)
	if code := machineCode(c.code); len(code) >= shareBytesMin {
		if err := r.cache.keepCode(temp, code); err != nil {
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
	c, err := r.loadIn(ctx, folder, module, offer)
	if err != nil {
		return nil, err
	}
	c.keepsTables = r.cache.keepsTables(folder)
	if err := r.share(ctx, name, folder, c.code); err != nil {
		return nil, err
	}
	return c, nil
}

// loadIn loads by the skeleton, if the folder has one.
func (r *Runtime) loadIn(ctx context.Context, folder string, module *original, offer offer) (*compiled, error) {
	skeleton, err := os.ReadFile(filepath.Join(folder, skeletonName))
	if errors.Is(err, fs.ErrNotExist) {
		return r.compileIn(ctx, folder, module.rewritten(), offer)
	}
	if err != nil {
		return nil, err
	}
	engine, err := r.engineIn(ctx, folder)
	if err != nil {
		return nil, err
	}
	code, err := loadSkeleton(ctx, engine, skeleton)
	if err != nil {
		return nil, err
	}
	if err := provide(ctx, engine, offer); err != nil {
		return nil, err
	}
	return &compiled{engine: engine, code: code}, nil
}

// engineIn makes an engine whose cache is folder: an engine has one cache for as long
// as it lives, so each module gets an engine of its own.
func (r *Runtime) engineIn(ctx context.Context, folder string) (wazero.Runtime, error) {
	cache, err := wazero.NewCompilationCacheWithDir(folder)
	if err != nil {
		return nil, err
	}
	engine := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(cache))
	r.mu.Lock()
	r.cached = append(r.cached, engine, cache)
	r.mu.Unlock()
	return engine, nil
}

// compileIn compiles with folder as the cache.
func (r *Runtime) compileIn(ctx context.Context, folder string, wasm []byte, offer offer) (*compiled, error) {
	engine, err := r.engineIn(ctx, folder)
	if err != nil {
		return nil, err
	}
	code, err := compileTwice(ctx, engine, wasm)
	if err != nil {
		return nil, &invalidError{err}
	}
	if err := provide(ctx, engine, offer); err != nil {
		return nil, err
	}
	return &compiled{engine: engine, code: code}, nil
}

// newEngine makes an engine without a cache, for a module that needs its own.
func (r *Runtime) newEngine(ctx context.Context, offer offer) (wazero.Runtime, error) {
	engine := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig())
	r.mu.Lock()
	r.cached = append(r.cached, engine)
	r.mu.Unlock()
	return engine, provide(ctx, engine, offer)
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
