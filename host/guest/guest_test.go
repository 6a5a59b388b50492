package guest_test

//go:generate sh -c "for f in testdata/*.wat; do wat2wasm --debug-names --no-check --enable-threads ${DOLLAR}f -o ${DOLLAR}{f%.wat}.wasm; done"

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/apphost/apphost/host/abi/conn"
	"github.com/apphost/apphost/host/abi/httpwasm"
	"github.com/apphost/apphost/host/guest"
)

// session records what the guest prints.
type session struct {
	context.Context
	lines   []string
	environ []string
}

func (s *session) Args() []string    { return []string{"run"} }
func (s *session) Environ() []string { return s.environ }

func (s *session) GuestLine(stream string, line []byte) {
	s.lines = append(s.lines, stream+": "+string(line))
}

func newSession(t testing.TB) *session { return &session{Context: t.Context()} }

func abis() []guest.ABI { return []guest.ABI{conn.ABI(), conn.ServerABI(), httpwasm.ABI()} }

func newRuntime(t testing.TB, cacheDir string) *guest.Runtime {
	t.Helper()
	r, err := guest.NewRuntime(t.Context(), guest.Options{CacheDir: cacheDir, ABIs: abis()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// warmRuntime has the code of src in its cache: it loads that as a child does.
func warmRuntime(t testing.TB, src guest.Source) *guest.Runtime {
	t.Helper()
	dir := t.TempDir()
	if _, err := newRuntime(t, dir).Load(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	return newRuntime(t, dir)
}

func wasm(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// source is a guest of testdata, with a memory limit of 1 MiB.
func source(t testing.TB, name string) guest.Source {
	return guest.Source{Name: name, Wasm: wasm(t, name), MemoryLimitBytes: 1 << 20}
}

func newPool(t testing.TB, name string) guest.Pool {
	t.Helper()
	m, err := warmRuntime(t, source(t, name)).Load(t.Context(), source(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return guest.NewPool(m, initialize, guest.Fresh)
}

func initialize(s guest.Session, i *guest.Instance) (any, error) {
	return nil, i.Initialize(s)
}

func get(t testing.TB, p guest.Pool, s guest.Session) *guest.Instance {
	t.Helper()
	i, err := p.Get(s)
	if err != nil {
		t.Fatal(err)
	}
	return i
}
