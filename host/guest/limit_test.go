package guest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apphost/apphost/host/guest"
)

func TestMemoryStopsGrowingAtTheLimit(t *testing.T) {
	pool := newPool(t, "grow") // 16 pages
	s := newSession(t)
	i := get(t, pool, s)
	defer pool.Put(i, guest.Returned)
	for _, step := range []struct {
		fn        string
		arg, want uint32
	}{
		{"grow", 4, 1},
		{"touch", 5<<16 - 1, 7},
		{"grow", 12, ^uint32(0)}, // would be 17 pages
		{"grow", 1 << 15, ^uint32(0)},
		{"grow", 11, 5},
		{"touch", 16<<16 - 1, 7},
		{"grow", 1, ^uint32(0)},
	} {
		stack := []uint64{uint64(step.arg)}
		if err := i.Call(s, step.fn, stack); err != nil {
			t.Fatalf("%s(%d): %v", step.fn, step.arg, err)
		}
		if uint32(stack[0]) != step.want {
			t.Fatalf("%s(%d) = %d, want %d", step.fn, step.arg, uint32(stack[0]), step.want)
		}
	}
}

func TestAModuleThatNeedsMoreThanItsLimitIsRefused(t *testing.T) {
	_, err := newRuntime(t, "").Load(t.Context(), guest.Source{Name: "large", Wasm: wasm(t, "large")})
	want := `plugin "large" needs 128 MiB of memory, memory_limit is 64 MiB`
	if err == nil || err.Error() != want {
		t.Fatalf("error %v, want %s", err, want)
	}
	_, err = newRuntime(t, "").Load(t.Context(), guest.Source{Name: "large", Wasm: wasm(t, "large"), MemoryLimitBytes: 128 << 20})
	if err != nil {
		t.Fatal(err)
	}
}

// A damaged entry of the code cache costs a compilation, and is good again
// afterwards.
func TestADamagedCacheEntryIsMadeAnew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	load := func() {
		t.Helper()
		m, err := newRuntime(t, dir).Load(t.Context(), source(t, "run"))
		if err != nil {
			t.Fatal(err)
		}
		pool, s := guest.NewPool(m, initialize), newSession(t)
		i := get(t, pool, s)
		if err := i.Call(s, "count", []uint64{0}); err != nil {
			t.Error(err)
		}
		pool.Put(i, guest.Returned)
	}
	load()
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("cache directory: %v, %v", info, err)
	}
	entries, err := filepath.Glob(filepath.Join(dir, "*", "*[0-9a-f]"))
	if err != nil || len(entries) != 1 {
		t.Fatalf("entries %v, %v", entries, err)
	}
	good, err := os.ReadFile(entries[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{
		"empty":     {},
		"truncated": good[:len(good)/2],
		"last byte": append(bytes.Clone(good[:len(good)-1]), ^good[len(good)-1]),
		"garbage":   bytes.Repeat([]byte{0xff}, 100),
	} {
		if err := os.WriteFile(entries[0], damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		load()
		if now, err := os.ReadFile(entries[0]); err != nil || !bytes.Equal(now, good) {
			t.Errorf("%s: the entry was not repaired (%v)", name, err)
		}
	}
}

func TestACacheThatOthersMayWriteIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	_, err := guest.NewRuntime(t.Context(), guest.Options{CacheDir: dir, ABIs: abis()})
	if err == nil || !strings.Contains(err.Error(), "may be written by others (mode 0777)") {
		t.Fatalf("error %v", err)
	}
}

func TestATableStopsGrowingAtTheLimit(t *testing.T) {
	pool := newPool(t, "table")
	s := newSession(t)
	i := get(t, pool, s)
	defer pool.Put(i, guest.Returned)
	for _, step := range []struct{ arg, want uint32 }{
		{1, 2}, {1 << 30, ^uint32(0)}, {1 << 20, ^uint32(0)}, {1<<20 - 4, 3}, {1, ^uint32(0)},
	} {
		stack := []uint64{uint64(step.arg)}
		if err := i.Call(s, "grow", stack); err != nil || uint32(stack[0]) != step.want {
			t.Fatalf("grow(%d) = %d, %v; want %d", step.arg, uint32(stack[0]), err, step.want)
		}
	}
}

// The bound is for all tables of a module: a few bytes declare one more.
func TestTablesAreBoundedTogether(t *testing.T) {
	s := newSession(t)
	i := get(t, newPool(t, "tables"), s)
	stack := []uint64{0}
	if err := i.Call(s, "grow", stack); err != nil {
		t.Fatal(err)
	}
	if elements := uint32(stack[0]); elements > 1<<20 || elements < 1<<20-10 {
		t.Errorf("two tables grew to %d elements together, want all of 2^20 and no more", elements)
	}
	r := newRuntime(t, "")
	header := "\x00asm\x01\x00\x00\x00"
	rest := wasm(t, "conn")[len(header):]
	for want, tables := range map[string]string{
		`plugin "p" needs tables of 1200000 elements together, 1048576 is the most`: "\x04\x0b\x02\x70\x00\xc0\xcf\x24\x70\x00\xc0\xcf\x24",
		`plugin "p" has 101 tables, 100 is the most`:                                "\x04\xb0\x02\x65" + strings.Repeat("\x70\x00\x00", 101),
	} {
		_, err := r.Load(t.Context(), guest.Source{Name: "p", Wasm: withTables(header, tables, rest)})
		if err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// withTables puts a table section in front of the other sections: what is
// checked of tables is checked before the engine looks at the order.
func withTables(header, tables string, rest []byte) []byte {
	return append([]byte(header+tables), rest...)
}
