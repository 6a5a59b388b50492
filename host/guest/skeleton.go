package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/apphost/apphost/host/internal/wasmbin"
)

// Before the engine looks for machine code in its cache, it reads and validates each
// function, which takes most of the time that a child needs to load a module, and is
// done already: by who made the code. So the cache holds the module without
// functions, its skeleton, and the code under the name that the engine gives to
// the skeleton's.

const skeletonName = "skeleton"

// addSkeleton makes a folder that a module was compiled in, and nothing else, one
// that is read by its skeleton.
func addSkeleton(ctx context.Context, folder string, wasm []byte) error {
	skeleton := wasmbin.Skeleton(wasm)
	if skeleton == nil {
		return nil // without functions, there is nothing to gain
	}
	code, err := engineFiles(folder)
	if err != nil {
		return err
	}
	if len(code) != 1 {
		return fmt.Errorf("the engine made %d files of one module", len(code))
	}
	if !bytes.Equal(skeleton, wasm) {
		// Only the engine knows the names of its files, so it makes one.
		if err := compileOnce(ctx, folder, skeleton); err != nil {
			return err
		}
		all, err := engineFiles(folder)
		if err != nil {
			return err
		}
		if len(all) != 2 {
			return fmt.Errorf("the engine made %d files of two modules", len(all))
		}
		name := all[0]
		if name == code[0] {
			name = all[1]
		}
		if err := os.Rename(code[0], name); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(folder, skeletonName), skeleton, 0o600)
}

// engineFiles are the engine's own in a module's folder.
func engineFiles(folder string) ([]string, error) {
	return filepath.Glob(filepath.Join(folder, "wazero-*", "*"))
}

// compileOnce leaves the code of a module in folder.
func compileOnce(ctx context.Context, folder string, wasm []byte) error {
	cache, err := wazero.NewCompilationCacheWithDir(folder)
	if err != nil {
		return err
	}
	engine := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(cache))
	_, err = compileModule(ctx, engine, wasm)
	return errors.Join(err, engine.Close(ctx), cache.Close(ctx))
}

// errNoCode means that the engine has not found the code it was to find.
var errNoCode = errors.New("the engine has not found the code that is there")

// loadSkeleton has the engine take the code of a skeleton from its cache. It fails
// with errNoCode if it is not there: a skeleton itself must never be compiled.
func loadSkeleton(ctx context.Context, engine wazero.Runtime, skeleton []byte) (wazero.CompiledModule, error) {
	// The engine asks whether to go on only before it compiles a function, and only
	// if there are several to do so.
	none, cancel := context.WithCancelCause(experimental.WithCompilationWorkers(ctx, 2))
	cancel(errNoCode)
	return compileModule(none, engine, skeleton)
}
