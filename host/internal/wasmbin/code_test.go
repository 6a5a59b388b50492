package wasmbin

//go:generate sh -c "for f in testdata/*.wat; do wat2wasm ${DOLLAR}f -o ${DOLLAR}{f%.wat}.wasm; done"

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
)

func module(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestKeepsTablesFindsEachInstructionThatDoesNot(t *testing.T) {
	files, err := filepath.Glob("testdata/*.wasm")
	if err != nil || len(files) < 8 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".wasm")
		if got, want := KeepsTables(module(t, name)), name == "keeps"; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	for _, plugin := range []string{"echo", "hello"} {
		wasm, err := os.ReadFile("../../../plugins/" + plugin + ".wasm")
		if err != nil {
			t.Fatal(err)
		}
		if !KeepsTables(wasm) {
			t.Errorf("%s does not", plugin)
		}
	}
}

func TestCodeThatIsNotUnderstoodDoesNotCount(t *testing.T) {
	whole := module(t, "keeps")
	at := bytes.Index(whole, []byte{0xfc, 0x0b}) // memory.fill
	if at < 0 {
		t.Fatal("memory.fill is not found")
	}
	for _, op := range []byte{0xfe, 0xf0, 0xc5} {
		changed := bytes.Clone(whole)
		changed[at] = op
		if KeepsTables(changed) {
			t.Errorf("opcode %#x is taken for known", op)
		}
	}
	changed := bytes.Clone(whole)
	changed[at+1] = 0x20
	if KeepsTables(changed) {
		t.Error("an unknown one of 0xfc is taken for known")
	}
	if KeepsTables(whole[:at+1]) {
		t.Error("code that is cut off is taken for whole")
	}
}

func TestExportedGlobalsAreThose(t *testing.T) {
	wasm := module(t, "keeps")
	m, err := Decode(wasm)
	if err != nil {
		t.Fatal(err)
	}
	numbers := 0
	for _, g := range m.Globals {
		if g.Mutable && g.Number() {
			numbers++
		}
	}
	if len(m.Globals) != 7 || numbers != 4 {
		t.Errorf("globals %+v", m.Globals)
	}
	out, names := ExportGlobals(wasm, m), m.GlobalExports()
	if want := []string{"apphost.global.1", "apphost.global.2", "apphost.global.3", "apphost.global.4", "apphost.global.5", "apphost.global.6"}; !slices.Equal(names, want) {
		t.Errorf("names %q", names)
	}
	again, err := Decode(out)
	if err != nil || len(again.Exports) != len(m.Exports)+6 {
		t.Fatalf("%+v, %v", again, err)
	}
	r := wazero.NewRuntime(t.Context())
	defer func() { _ = r.Close(context.Background()) }()
	i, err := r.Instantiate(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	if got := i.ExportedGlobal("apphost.global.1").Get(); got != 70000 {
		t.Errorf("the first one is %d", got)
	}
	// A second time the names are taken.
	if names := again.GlobalExports(); len(names) == 0 || names[0] != "apphost.global..1" {
		t.Errorf("names %q", names)
	}
	bare := module(t, "elem_drop") // has none, and no exports
	if m, err = Decode(bare); err != nil {
		t.Fatal(err)
	}
	if same, names := ExportGlobals(bare, m), m.GlobalExports(); names != nil || !bytes.Equal(same, bare) {
		t.Error("a module without globals is changed")
	}
}

// FuzzCode holds that no bytes panic, and that what is rewritten can be read.
func FuzzCode(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.wasm")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		KeepsTables(wasm)
		Skeleton(wasm)
		m, err := Decode(wasm)
		if err != nil {
			return
		}
		if out, names := ExportGlobals(wasm, m), m.GlobalExports(); len(names) > 0 && !bytes.Equal(out, wasm) {
			again, err := Decode(out)
			if err != nil || len(again.Exports) != len(m.Exports)+len(names) {
				t.Fatalf("rewritten to what cannot be read: %v", err)
			}
		}
	})
}
