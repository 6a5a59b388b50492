package guest

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
)

// compile makes machine code of a module, or takes it from the cache, and
// adds what is new in the cache to those that were seen whole.
func (r *Runtime) compile(ctx context.Context, wasm []byte) (wazero.CompiledModule, error) {
	code, err := compileModule(ctx, r.engine, wasm)
	if err != nil && r.cacheDir != "" {
		// The engine fails when it may not write to the cache, although by
		// then it has the code in memory.
		code, err = compileModule(ctx, r.engine, wasm)
	}
	if err == nil && r.cacheDir != "" {
		sealCache(r.cacheDir)
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
