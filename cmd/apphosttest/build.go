package apphosttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// built is what the tests of one process share: the binary, and a cache so
// that a guest is compiled to machine code once.
type built struct {
	binary string
	cache  string
	err    error
}

// shared is made at the first use in a test process and removed by Main.
var shared struct {
	once sync.Once
	built
}

func build(t testing.TB) *built {
	t.Helper()
	shared.once.Do(func() { shared.built = makeShared() })
	if shared.err != nil {
		t.Fatalf("build apphost: %v", shared.err)
	}
	return &shared.built
}

func makeShared() built {
	dir, err := os.MkdirTemp("", "apphosttest-")
	if err != nil {
		return built{err: err}
	}
	b := built{binary: filepath.Join(dir, "apphost"), cache: filepath.Join(dir, "cache")}
	b.err = run(exec.Command("go", "build", "-o", b.binary, "github.com/apphost/apphost/cmd/apphost"))
	return b
}

// Main runs the tests of a package and then removes what they shared. Call it
// from TestMain.
func Main(m *testing.M) int {
	code := m.Run()
	if shared.binary != "" {
		_ = os.RemoveAll(filepath.Dir(shared.binary))
	}
	return code
}

// BuildGuest builds a Go guest from its folder and returns the .wasm file's
// path.
func BuildGuest(t testing.TB, dir string) string {
	t.Helper()
	abs, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), filepath.Base(abs)+".wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", out, ".")
	cmd.Dir = abs
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if err := run(cmd); err != nil {
		t.Fatalf("build guest %s: %v", dir, err)
	}
	return out
}

func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w:\n%s", err, out)
	}
	return nil
}
