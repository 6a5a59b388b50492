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
