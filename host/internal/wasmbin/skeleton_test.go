package wasmbin

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
)

// cutCode is a module without its section of code, and that section.
func cutCode(t *testing.T, wasm []byte) (rest, code []byte) {
	t.Helper()
	r := reader{b: wasm, off: headerBytes}
	rest = bytes.Clone(wasm[:headerBytes])
	for r.off < len(wasm) && r.err == nil {
		start := r.off
		id := r.byte()
		content := r.take(r.u32())
		if id == sectionCode {
			code = content
			continue
		}
		rest = append(rest, wasm[start:r.off]...)
	}
	if r.err != nil {
		t.Fatal(r.err)
	}
	return rest, code
}

// Only functions are left out, each of whatever type, and what is left is valid.
func TestASkeletonHasAllButFunctions(t *testing.T) {
	var files []string
	for _, pattern := range []string{"testdata/*.wasm", "../../guest/testdata/*.wasm", "../../../plugins/*.wasm"} {
		some, err := filepath.Glob(pattern)
		if err != nil || len(some) == 0 {
			t.Fatal(pattern, err)
		}
		files = append(files, some...)
	}
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	defer func() { _ = r.Close(context.Background()) }()
	valid := 0
	for _, file := range files {
		wasm, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.CompileModule(t.Context(), wasm); err != nil {
			continue // it is for tests of faults
		}
		valid++
		skeleton := Skeleton(wasm)
		rest, code := cutCode(t, wasm)
		if code == nil {
			if skeleton != nil {
				t.Errorf("%s has no functions, but a skeleton", file)
			}
			continue
		}
		left, bodies := cutCode(t, skeleton)
		if !bytes.Equal(left, rest) {
			t.Errorf("%s: another section is changed", file)
		}
		want, err := Decode(wasm)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Decode(skeleton); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s declares %+v, %v", file, got, err)
		}
		b := reader{b: bodies}
		b.vec(func() {
			if body := b.take(b.u32()); !bytes.Equal(body, []byte{0, 0, opEnd}) {
				t.Errorf("%s: there is a function %x", file, body)
			}
		})
		if b.err != nil || b.off != len(bodies) {
			t.Errorf("%s: the code is malformed: %v", file, b.err)
		}
		if _, err := r.CompileModule(t.Context(), skeleton); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	if valid < 20 {
		t.Errorf("there were %d modules", valid)
	}
}

// A call of what was a function traps.
func TestASkeletonsFunctionsTrap(t *testing.T) {
	r := wazero.NewRuntime(t.Context())
	defer func() { _ = r.Close(context.Background()) }()
	loop := Loop("from", "call", 1)
	if _, err := r.NewHostModuleBuilder("from").NewFunctionBuilder().
		WithFunc(func() uint32 { return 0 }).Export("call").Instantiate(t.Context()); err != nil {
		t.Fatal(err)
	}
	i, err := r.InstantiateWithConfig(t.Context(), Skeleton(loop), wazero.NewModuleConfig().WithName("skeleton"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.ExportedFunction("call").Call(t.Context()); err == nil || !strings.Contains(err.Error(), "unreachable") {
		t.Errorf("error %v", err)
	}
}

func TestNoFunctionsNoSkeleton(t *testing.T) {
	for name, wasm := range map[string]string{
		"empty":         "\x00asm\x01\x00\x00\x00",
		"none in it":    "\x00asm\x01\x00\x00\x00\x0a\x01\x00",
		"a false count": "\x00asm\x01\x00\x00\x00\x0a\x05\xff\xff\xff\xff\x0f",
		"cut short":     "\x00asm\x01\x00\x00\x00\x0a\x05\x01",
	} {
		if got := Skeleton([]byte(wasm)); got != nil {
			t.Errorf("%s: %x", name, got)
		}
	}
}
