//go:build unix

package apphosttest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Variant builds the server from its source with one change: in the file, a
// path from the root of the repository, old is replaced by changed. It returns
// the path of the binary, which is built once for each test process.
func Variant(t testing.TB, file, old, changed string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(file + "\x00" + old + "\x00" + changed))
	binary := filepath.Join(filepath.Dir(build(t).binary), "apphost-"+hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatalf("find repository: %v", err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), file)
	source, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(source), old) != 1 {
		t.Fatalf("%s does not have %q once", file, old)
	}
	dir := t.TempDir()
	replaced, overlay := filepath.Join(dir, "replaced.go"), filepath.Join(dir, "overlay.json")
	spec, err := json.Marshal(map[string]any{"Replace": map[string]string{original: replaced}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{replaced: []byte(strings.Replace(string(source), old, changed, 1)), overlay: spec} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := append([]string{"build", "-overlay", overlay, "-o", binary}, buildFlags...)
	if err := run(exec.Command("go", append(args, "github.com/apphost/apphost/cmd/apphost")...)); err != nil {
		t.Fatalf("build apphost with %q instead of %q: %v", changed, old, err)
	}
	return binary
}

// Install puts another binary where that of OwnBinary is, at once.
func (s *Server) Install(binary string) {
	s.t.Helper()
	raw, err := os.ReadFile(binary)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.binary+".new", raw, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(s.binary+".new", s.binary); err != nil {
		s.t.Fatal(err)
	}
}
