package guest

import (
	"context"
	"errors"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	wasi "github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// provideFiles leaves the engine its functions for files, but for what concerns
// the standard streams as well:
//
//   - fd_close of standard output also tells its session
//   - fd_fdstat_set_flags succeeds for a stream: reads and writes wait in any case
func provideFiles(ctx context.Context, engine wazero.Runtime, builder wazero.HostModuleBuilder) error {
	own := engine.NewHostModuleBuilder(wasiModule)
	wasi.NewFunctionExporter().ExportFunctions(own)
	compiled, err := own.Compile(ctx)
	if err != nil {
		return err
	}
	i32 := api.ValueTypeI32
	for _, f := range []struct {
		name   string
		params []api.ValueType
		call   func(ctx context.Context, m api.Module, stack []uint64, own api.GoModuleFunction)
	}{
		{"fd_close", []api.ValueType{i32}, func(ctx context.Context, m api.Module, stack []uint64, own api.GoModuleFunction) {
			closeStream(ctx, stack)
			own.Call(ctx, m, stack)
		}},
		{"fd_fdstat_set_flags", []api.ValueType{i32, i32}, func(ctx context.Context, m api.Module, stack []uint64, own api.GoModuleFunction) {
			if fd := uint32(stack[0]); fd <= lastStream {
				stack[0] = 0
				return
			}
			own.Call(ctx, m, stack)
		}},
	} {
		original, ok := compiled.ExportedFunctions()[f.name].GoFunction().(api.GoModuleFunction)
		if !ok {
			return errors.New("the engine's " + f.name + " is no function in Go")
		}
		builder.NewFunctionBuilder().
			WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
				f.call(ctx, m, stack, original)
			}), f.params, []api.ValueType{i32}).
			WithName(f.name).Export(f.name)
	}
	return nil
}
