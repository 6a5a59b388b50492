package wasmbin

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// importsOf is a module that imports something of each kind, "m"."f" twice.
func importsOf() []byte {
	entry := func(module, name string, what ...byte) []byte {
		return append(appendName(appendName(nil, module), name), what...)
	}
	imports := slices.Concat([]byte{8},
		entry("m", "f", 0, 0), entry("m", "g", 0, 0), entry("n", "f", 0, 0),
		entry("m", "t", 1, 0x70, 1, 1, 2), entry("m", "mem", 2, 1, 1, 2), entry("m", "c", 3, 0x7f, 0), entry("m", "tag", 4, 0, 0),
		entry("m", "f", 0, 0))
	types := []byte{1, 0x60, 0, 1, 0x7f}
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		[]byte{sectionType, byte(len(types))}, types, []byte{sectionImport, byte(len(imports))}, imports, []byte{0, 3, 1, 'x', 9})
}

func TestMoveImportMovesOneFunctionOnly(t *testing.T) {
	wasm := importsOf()
	before := bytes.Clone(wasm)
	from, err := Decode(wasm)
	if err != nil {
		t.Fatal(err)
	}
	moved := MoveImport(wasm, "m", "f", "another module, with a longer name")
	to, err := Decode(moved)
	if err != nil {
		t.Fatal(err)
	}
	for i, imp := range from.Imports {
		if imp.Module == "m" && imp.Name == "f" {
			imp.Module = "another module, with a longer name"
		}
		if to.Imports[i] != imp {
			t.Errorf("import %d is %v, want %v", i, to.Imports[i], imp)
		}
	}
	if !bytes.HasSuffix(moved, []byte{0, 3, 1, 'x', 9}) || !bytes.Equal(wasm, before) {
		t.Error("another section was changed, or the original")
	}
	for _, same := range [][2]string{{"m", "h"}, {"x", "f"}} {
		if got := MoveImport(wasm, same[0], same[1], "z"); !bytes.Equal(got, wasm) {
			t.Errorf("%v: the module was changed", same)
		}
	}
}

func TestLoopCallsUntilTheResultIsAnother(t *testing.T) {
	ctx := t.Context()
	r := wazero.NewRuntime(ctx)
	defer func() { _ = r.Close(context.Background()) }()
	calls := 0
	_, err := r.NewHostModuleBuilder("host").NewFunctionBuilder().
		WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) {
			calls++
			stack[0] = []uint64{5, 5, 5, api.EncodeI32(-7), 0}[calls-1]
		}), nil, []api.ValueType{api.ValueTypeI32}).Export("wait").Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Instantiate(ctx, Loop("host", "wait", 5))
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []int32{-7, 0} {
		if got, err := m.ExportedFunction("wait").Call(ctx); err != nil || api.DecodeI32(got[0]) != want || calls != 4+n {
			t.Errorf("%v after %d calls, %v; want %d", got, calls, err, want)
		}
	}
}

// FuzzMoveImport holds for whatever Decode accepts: the import is moved, and nothing
// else is changed.
func FuzzMoveImport(f *testing.F) {
	f.Add(importsOf())
	f.Add(module(f, "keeps"))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		from, err := Decode(wasm)
		if err != nil {
			return
		}
		to, err := Decode(MoveImport(wasm, "m", "f", "elsewhere"))
		if err != nil {
			t.Fatalf("moved, it is refused: %v", err)
		}
		if len(to.Imports) != len(from.Imports) {
			t.Fatalf("%d imports, there were %d", len(to.Imports), len(from.Imports))
		}
		for i, imp := range from.Imports {
			if imp.Module == "m" && imp.Name == "f" {
				imp.Module = "elsewhere"
			}
			if to.Imports[i] != imp {
				t.Fatalf("import %d is %v, want %v", i, to.Imports[i], imp)
			}
		}
		if !slices.Equal(to.Exports, from.Exports) {
			t.Fatal("the exports are others")
		}
	})
}
