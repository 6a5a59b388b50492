package guest_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/apphost/apphost/host/guest"
)

// dirtyPool has the guest that dirties all it can reach, with a memory of so
// many pages, up to most.
func dirtyPool(t testing.TB, pages, most byte, tracked bool) guest.Pool {
	t.Helper()
	memory := []byte{5, 4, 1, 1, 2, 8} // the section of the memory: 2 to 8 pages
	binary := wasm(t, "dirty")
	if bytes.Count(binary, memory) != 1 {
		t.Fatal("the memory's section is not found")
	}
	binary = bytes.Replace(binary, memory, []byte{5, 4, 1, 1, pages, most}, 1)
	src := guest.Source{Name: "dirty", Wasm: binary, MemoryLimitBytes: 8 << 20}
	r := warmRuntime(t, src)
	if !tracked {
		r.WithoutTracker()
	}
	m, err := r.Load(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	p := guest.NewPool(m, initialize, guest.Fresh)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// dirty runs the guest once and returns what it has found.
func dirty(t testing.TB, i *guest.Instance, s guest.Session, seed, last uint32) uint64 {
	stack := []uint64{uint64(seed), uint64(last)}
	if err := i.Call(s, "run", stack); err != nil {
		t.Fatal(err)
	}
	return stack[0]
}

// No run finds a trace of the one before it, in a million runs of each method.
func TestNoRunFindsATraceOfAnother(t *testing.T) {
	for _, test := range []struct {
		method  string
		pages   byte
		tracked bool
		runs    int
	}{
		{"track", 2, true, 1_000_000},
		{"copy", 2, false, 100_000},
		{"discard", 20, false, 20_000},
	} {
		t.Run(test.method, func(t *testing.T) {
			p, s := dirtyPool(t, test.pages, test.pages+6, test.tracked), newSession(t)
			runs := test.runs
			if testing.Short() {
				runs /= 50
			}
			seen := map[*guest.Instance]bool{}
			random := rand.New(rand.NewPCG(3, 4))
			for n, last := 0, uint32(0); n < runs; n++ {
				i := get(t, p, s)
				seen[i] = true
				if n == 0 && guest.ResetMethod(p, i) != test.method {
					t.Skipf("reset by %q here", guest.ResetMethod(p, i))
				}
				seed := random.Uint32()
				if found := dirty(t, i, s, seed, last); found != 0 {
					t.Fatalf("run %d found %07b", n, found)
				}
				last = seed
				p.Put(i, guest.Returned)
			}
			if len(seen) > 2 { // the same one all the time, or little would be shown
				t.Errorf("%d instances were made", len(seen))
			}
		})
	}
}

// FuzzPoolOrder holds for any order of runs and of how they end, with several
// instances at a time.
func FuzzPoolOrder(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 0})
	f.Add([]byte{0, 0, 0, 0, 4, 8, 12, 16, 2, 6, 10, 14, 0, 1, 2})
	p := dirtyPool(f, 2, 8, true)
	f.Fuzz(func(t *testing.T, order []byte) {
		s := &session{Context: context.Background()}
		var out []*guest.Instance
		seed := uint32(1)
		for _, b := range order {
			switch {
			case len(out) == 0 || b%4 == 0 && len(out) < 4:
				i := get(t, p, s)
				if found := dirty(t, i, s, seed, seed-1); found != 0 {
					t.Fatalf("found %07b", found)
				}
				seed++
				out = append(out, i)
			default:
				at := int(b/4) % len(out)
				end := guest.Returned
				if b%4 == 3 {
					end = guest.Failed
				}
				p.Put(out[at], end)
				out = append(out[:at], out[at+1:]...)
			}
		}
		for _, i := range out {
			p.Put(i, guest.Returned)
		}
	})
}

// A memory that was grown to its maximum cannot be made smaller by the engine;
// such an instance is not used again.
func TestAnInstanceAtItsMaximumIsNotUsedAgain(t *testing.T) {
	p, s := dirtyPool(t, 2, 3, true), newSession(t)
	first := get(t, p, s)
	dirty(t, first, s, 0, 0) // grows by a page
	p.Put(first, guest.Returned)
	second := get(t, p, s)
	defer p.Put(second, guest.Returned)
	if second == first {
		t.Error("it is used again")
	}
	if found := dirty(t, second, s, 1, 0); found != 0 {
		t.Errorf("found %07b", found)
	}
}

// What a run changes in a table outlives a reset, so there is none.
func TestAGuestThatChangesTablesIsMadeAnew(t *testing.T) {
	for name, reset := range map[string]bool{"table": false, "tables": false, "run": true} {
		p := newPool(t, name)
		s := newSession(t)
		i := get(t, p, s)
		if got := guest.ResetMethod(p, i) != ""; got != reset {
			t.Errorf("%s: reset %v, want %v", name, got, reset)
		}
		p.Put(i, guest.Returned)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}
