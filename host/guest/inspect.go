package guest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/apphost/apphost/host/internal/wasmbin"
	"github.com/tetratelabs/wazero"
)

// Inspection is what a module's bytes say about it.
type Inspection struct {
	Name string
	Size int // of the binary, in bytes
	// ABI is the name of the ABI it speaks, or "" if none.
	ABI     string
	Imports []Import
	Exports []Export
	// MemoryMinPages and MemoryMaxPages are the declared size of its memory
	// in pages of 64 KiB; the maximum is 65536 if none is declared. Both are
	// 0 without a memory.
	MemoryMinPages, MemoryMaxPages uint64
	// Problems are the reasons why it cannot be used as a plugin, each one
	// line that goes on after the plugin's name.
	Problems []string
}

// Import is something a module needs.
type Import struct {
	Module, Name string
	Kind         string // func, table, memory, global or tag
	Signature    string // of a func, such as "(i32, i32) -> i32"
}

// Export is something a module offers.
type Export struct {
	Name      string
	Kind      string // as in Import
	Signature string // of a func
}

// Inspect reads and validates a module without making machine code of it or
// running any. Whatever the bytes are, what is wrong is in Problems.
func Inspect(ctx context.Context, name string, wasm []byte, abis []ABI) *Inspection {
	engine := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer engine.Close(ctx) //nolint:errcheck // it holds nothing but memory
	wasi, err := wasiFuncs(ctx)
	if err != nil {
		panic("BUG: the interpreter refuses WASI: " + err.Error())
	}
	in, _, _ := inspect(wasi, name, wasm, abis)
	if len(in.Problems) == 0 {
		if _, err := compileModule(ctx, engine, wasm); err != nil {
			in.Problems = append(in.Problems, "is not valid: "+oneLine(err))
		}
	}
	return in
}

// inspect reads what the module declares. The ABI and the module are nil if
// Problems say that there is none. wasi is what there is of WASI.
func inspect(wasi []wasiFunc, name string, wasm []byte, abis []ABI) (*Inspection, *wasmbin.Module, *ABI) {
	in := &Inspection{Name: name, Size: len(wasm)}
	m, err := wasmbin.Decode(wasm)
	if err != nil {
		in.Problems = []string{decodeProblem(err)}
		return in, nil, nil
	}
	for _, imp := range m.Imports {
		in.Imports = append(in.Imports, Import{imp.Module, imp.Name, imp.Kind.String(), signatureText(imp.Kind, imp.Type)})
	}
	for _, exp := range m.Exports {
		in.Exports = append(in.Exports, Export{exp.Name, exp.Kind.String(), signatureText(exp.Kind, exp.Type)})
	}
	if m.Memory != nil {
		in.MemoryMinPages, in.MemoryMaxPages = m.Memory.Min, m.Memory.Max
	}
	speaks, reason := detect(m, abis)
	if speaks == nil {
		in.Problems = []string{reason}
		return in, m, nil
	}
	in.ABI = speaks.Name
	in.Problems = append(speaks.problems(m), wasiProblems(wasi, m)...)
	return in, m, speaks
}

func decodeProblem(err error) string {
	if errors.Is(err, wasmbin.ErrComponent) {
		return "is " + err.Error()
	}
	if text := err.Error(); strings.HasPrefix(text, "not ") {
		return "is " + text
	}
	return "is damaged: " + oneLine(err)
}

func signatureText(k wasmbin.Kind, t Type) string {
	if k != wasmbin.KindFunc {
		return ""
	}
	return t.String()
}

// nameText quotes a name that holds more than printable signs.
func nameText(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

func oneLine(err error) string {
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

// Error makes one error of all problems, or nil.
func (in *Inspection) Error() error {
	errs := make([]error, len(in.Problems))
	for i, p := range in.Problems {
		errs[i] = fmt.Errorf("plugin %q %s", in.Name, p)
	}
	return errors.Join(errs...)
}
