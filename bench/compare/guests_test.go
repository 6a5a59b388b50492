package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The committed guests are what the commands in README.md build from their source.
func TestGuestsAreBuiltFromTheirSource(t *testing.T) {
	t.Chdir("../..")
	version, err := exec.Command("clang", "--version").Output()
	if err != nil || !strings.Contains(string(version), "clang version 14.") {
		t.Skipf("the guests were built by clang 14, which is not here (%v)", err)
	}
	readme, err := os.ReadFile("bench/README.md")
	if err != nil {
		t.Fatal(err)
	}
	built := 0
	for line := range strings.Lines(strings.ReplaceAll(string(readme), "\\\n", " ")) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "clang" {
			continue
		}
		committed := words[len(words)-2]
		words[len(words)-2] = filepath.Join(t.TempDir(), "guest.wasm")
		if out, err := exec.CommandContext(t.Context(), words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		fresh, err := os.ReadFile(words[len(words)-2])
		if err != nil {
			t.Fatal(err)
		}
		if kept, err := os.ReadFile(committed); err != nil || !bytes.Equal(fresh, kept) {
			t.Errorf("%s is not what its source builds (%v): run just guests", committed, err)
		}
		built++
	}
	if built != 2 {
		t.Errorf("README.md builds %d guests, want 2", built)
	}
}
