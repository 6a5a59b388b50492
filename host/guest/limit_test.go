package guest_test

import (
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
