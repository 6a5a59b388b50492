package buildtest

import (
	"os"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/apphost/apphost/sdk/abi"
)

// Go runs the example's go build command and checks that the result is a
// plugin of the ABI whose import module is given, of at most sizeMax bytes. It
// returns the result's path.
func Go(t *testing.T, name, module string, sizeMax int) string {
	t.Helper()
	if testing.Short() {
		t.Skip("building a guest takes seconds")
	}
	built := run(t, name, "go")
	wasm, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	if len(wasm) > sizeMax {
		t.Errorf("%s.wasm has %d bytes, want at most %d: what did it begin to import?", name, len(wasm), sizeMax)
	}
	runtime := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	defer func() { _ = runtime.Close(t.Context()) }()
	guest, err := runtime.CompileModule(t.Context(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{module, "wasi_snapshot_preview1"}
	program := false
	for _, f := range guest.ImportedFunctions() {
		if from, function, _ := f.Import(); !slices.Contains(allowed, from) {
			t.Errorf("%s.wasm imports %s.%s, want imports from %q only", name, from, function, allowed)
		} else if function == abi.Accept {
			program = true
		}
	}
	wanted := map[string][]string{
		abi.ConnModule: {abi.Initialize, abi.ChildInit, abi.ProcessConnection},
		abi.HTTPModule: {abi.Initialize, abi.HandleRequest, abi.HandleResponse},
	}[module]
	if program {
		wanted = []string{abi.Start}
	}
	exports := guest.ExportedFunctions()
	for _, function := range wanted {
		if exports[function] == nil {
			t.Errorf("%s.wasm does not export %s", name, function)
		}
	}
	return built
}
