//go:build unix

package apphosttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
	if runtime.GOOS != "linux" {
		t.Skip("the server runs on Linux only")
	}
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
	if err := os.Chmod(dir, 0o755); err != nil { // another user may run what is in it; see Unprivileged
		return built{err: err}
	}
	b := built{binary: filepath.Join(dir, "apphost"), cache: filepath.Join(dir, "cache")}
	args := append([]string{"build", "-o", b.binary}, buildFlags...)
	b.err = run(exec.Command("go", append(args, "github.com/apphost/apphost/cmd/apphost")...))
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

func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w:\n%s", err, out)
	}
	return nil
}
