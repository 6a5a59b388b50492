package guest

import (
	"context"
	"fmt"

	"github.com/apphost/apphost/host/internal/wasmbin"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	wasi "github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

const wasiModule = wasi.ModuleName

// provideWASI takes the engine's WASI with one change: its proc_exit closes
// the module, and so frees the memory, while the instance is still in use.
func provideWASI(ctx context.Context, engine wazero.Runtime) error {
	builder := engine.NewHostModuleBuilder(wasiModule)
	wasi.NewFunctionExporter().ExportFunctions(builder)
	exit := api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) {
		panic(sys.NewExitError(uint32(stack[0]))) // recovered by the engine, see Abort
	})
	builder.NewFunctionBuilder().
		WithGoModuleFunction(exit, []api.ValueType{api.ValueTypeI32}, nil).
		WithName("proc_exit").Export("proc_exit")
	_, err := builder.Instantiate(ctx)
	return err
}

// wasiProblems lists the imports from WASI that engine does not offer.
func wasiProblems(engine wazero.Runtime, m *wasmbin.Module) []string {
	offered := engine.Module(wasiModule).ExportedFunctionDefinitions()
	var out []string
	for _, imp := range m.Imports {
		if imp.Module != wasiModule {
			continue
		}
		def, ok := offered[imp.Name]
		if !ok {
			out = append(out, fmt.Sprintf("imports %q.%s, which WASI preview 1 does not have", imp.Module, nameText(imp.Name)))
			continue
		}
		have := Type{Params: string(def.ParamTypes()), Results: string(def.ResultTypes())}
		if have != imp.Type {
			out = append(out, fmt.Sprintf("imports %q.%s with signature %s, it is %s", imp.Module, imp.Name, imp.Type, have))
		}
	}
	return out
}
