package buildtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// clangVersion is the clang whose output is committed. Others may generate
// different code from the same source.
const clangVersion = "clang version 14."

// Clang runs the example's clang command and compares what it builds with the
// committed file, plugins/NAME.wasm. It fails if that is larger than sizeMax
// bytes, and skips without clang.
func Clang(t *testing.T, name string, sizeMax int) {
	committed, err := os.ReadFile(filepath.Join(top, "plugins", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if len(committed) > sizeMax {
		t.Errorf("plugins/%s.wasm has %d bytes, want at most %d", name, len(committed), sizeMax)
	}
	for _, tool := range []string{"clang", "wasm-ld"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("cannot rebuild plugins/%s.wasm: %v", name, err)
		}
	}

	fresh, err := os.ReadFile(run(t, name, "clang"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(fresh, committed) {
		return
	}
	if out, err := exec.Command("clang", "--version").Output(); err != nil || !strings.Contains(string(out), clangVersion) {
		t.Skipf("plugins/%s.wasm was built by %s*; the one here builds it differently", name, clangVersion)
	}
	t.Errorf("plugins/%s.wasm is not what its source builds; run the command in examples/%s/README.md", name, name)
}

// WASIClang runs the example's clang command, which builds a program with the C
// library for WASI, and returns the result's path. It fails if that is larger than
// sizeMax bytes, and skips where clang or the library is missing.
func WASIClang(t *testing.T, name string, sizeMax int64) string {
	t.Helper()
	for _, tool := range []string{"clang", "wasm-ld"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("cannot build %s: %v", name, err)
		}
	}
	probe := exec.CommandContext(t.Context(), "clang", "--target=wasm32-wasi", "-x", "c", "-o", filepath.Join(t.TempDir(), "probe"), "-")
	probe.Stdin = strings.NewReader("#include <stdio.h>\nint main(void) { return puts(\"\"); }\n")
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skipf("cannot build %s: there is no C library for WASI (on Debian: wasi-libc libclang-rt-14-dev-wasm32)\n%s", name, out)
	}
	built := run(t, name, "clang")
	info, err := os.Stat(built)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > sizeMax {
		t.Errorf("%s.wasm has %d bytes, want at most %d", name, info.Size(), sizeMax)
	}
	return built
}
