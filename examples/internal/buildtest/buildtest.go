// Package buildtest builds, serves and tries the examples with the commands and
// the configuration in their README.md, so that those stay right. It is for
// tests in folders two below the top of the repository.
package buildtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// top is the top of the repository.
var top = filepath.Join("..", "..")

// run runs the README's command that uses a tool, with its output, which there
// is plugins/NAME.wasm, in a temporary folder. It returns the output's path.
func run(t *testing.T, name, tool string) string {
	t.Helper()
	built := filepath.Join(t.TempDir(), name+".wasm")
	var env, args []string
	for _, word := range command(t, name, tool) {
		switch {
		case len(args) == 0 && strings.Contains(word, "="):
			env = append(env, word)
		case word == "plugins/"+name+".wasm":
			args = append(args, built)
		default:
			args = append(args, strings.Trim(word, `"`))
		}
	}
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = top
	cmd.Env = append(cmd.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return built
}

// command is the words of the README's command that makes plugins/NAME.wasm with a
// tool, its continued lines joined.
func command(t *testing.T, name, tool string) []string {
	t.Helper()
	for line := range strings.Lines(strings.ReplaceAll(readme(t), "\\\n", " ")) {
		words := strings.Fields(line)
		for _, word := range words {
			if word == tool && slices.Contains(words, "plugins/"+name+".wasm") {
				return words
			}
			if !strings.Contains(word, "=") {
				break // the command is another one
			}
		}
	}
	t.Fatalf("examples/%s/README.md has no %s command", name, tool)
	return nil
}

// readme is the text of the example's README.md.
func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
