// Package clangtest checks that a committed .wasm file is what its example's
// README builds.
package clangtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// version is the clang whose output is committed. Others may generate
// different code from the same source.
const version = "clang version 14."

// Rebuild runs the clang command in README.md of the test's folder, two below
// the top of the repository, and compares what it builds with the committed
// file, plugins/NAME.wasm. It fails if that is larger than sizeMax bytes.
func Rebuild(t *testing.T, name string, sizeMax int) {
	top := filepath.Join("..", "..")
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

	built := filepath.Join(t.TempDir(), "built.wasm")
	args := command(t, name)
	for i, a := range args {
		if a == "plugins/"+name+".wasm" {
			args[i] = built
		}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = top
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	fresh, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(fresh, committed) {
		return
	}
	if out, err := exec.Command("clang", "--version").Output(); err != nil || !strings.Contains(string(out), version) {
		t.Skipf("plugins/%s.wasm was built by %s*; the one here builds it differently", name, version)
	}
	t.Errorf("plugins/%s.wasm is not what its source builds; run the command in examples/%s/README.md", name, name)
}

// command is the README's clang command, its continued lines joined.
func command(t *testing.T, name string) []string {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(strings.ReplaceAll(string(readme), "\\\n", " ")) {
		if args := strings.Fields(line); len(args) > 0 && args[0] == "clang" {
			return args
		}
	}
	t.Fatalf("examples/%s/README.md has no clang command", name)
	return nil
}
