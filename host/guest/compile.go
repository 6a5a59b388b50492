package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tetratelabs/wazero"
)

// compile makes machine code of a module, or takes it from the cache. If that
// fails although the module is valid, the cache is at fault: its entry is made
// anew, and compile tries once more.
func (r *Runtime) compile(ctx context.Context, wasm []byte) (wazero.CompiledModule, error) {
	code, err := compileModule(ctx, r.engine, wasm)
	if err == nil || r.cache == nil || validate(ctx, wasm) != nil {
		return code, err
	}
	// A repair that fails still leaves the code in memory when only writing
	// to the cache was refused, as it is to a child that may not.
	repairErr := r.repairCache(ctx, wasm)
	code, retryErr := compileModule(ctx, r.engine, wasm)
	if retryErr != nil {
		return nil, errors.Join(err, repairErr)
	}
	return code, nil
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

// validate decodes and checks a module without making machine code.
func validate(ctx context.Context, wasm []byte) (err error) {
	engine := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer func() { err = errors.Join(err, engine.Close(ctx)) }()
	_, err = compileModule(ctx, engine, wasm)
	return err
}

// repairCache replaces the module's entry in the cache. Only the engine can
// tell the entry's name, so it compiles into an empty cache, from where the
// entry is renamed over the damaged one; another process sees one or the
// other.
func (r *Runtime) repairCache(ctx context.Context, wasm []byte) error {
	dir, err := os.MkdirTemp(r.cacheDir, "repair-")
	if err != nil {
		return fmt.Errorf("repair code cache: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // what is left behind is small and harmless
	if err := compileInto(ctx, dir, wasm); err != nil {
		return fmt.Errorf("repair code cache: %w", err)
	}
	entries, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		panic("BUG: bad pattern: " + err.Error())
	}
	for _, entry := range entries {
		rel, err := filepath.Rel(dir, entry)
		if err != nil {
			panic("BUG: entry outside its directory: " + err.Error())
		}
		if err := os.Rename(entry, filepath.Join(r.cacheDir, rel)); err != nil {
			return fmt.Errorf("repair code cache: %w", err)
		}
	}
	return nil
}

func compileInto(ctx context.Context, dir string, wasm []byte) (err error) {
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return err
	}
	engine := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(cache))
	defer func() { err = errors.Join(err, engine.Close(ctx), cache.Close(ctx)) }()
	_, err = compileModule(ctx, engine, wasm)
	return err
}
