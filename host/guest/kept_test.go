package guest_test

import (
	"runtime"
	"testing"
	"weak"

	"github.com/apphost/apphost/host/guest"
)

func keptPool(t testing.TB, name string) guest.Pool {
	t.Helper()
	m, err := warmRuntime(t, source(t, name)).Load(t.Context(), source(t, name))
	if err != nil {
		t.Fatal(err)
	}
	p := guest.NewPool(m, initialize, guest.Kept)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestAKeptInstanceGoesOnWhereItWas(t *testing.T) {
	p, s := keptPool(t, "run"), newSession(t)
	for want := uint64(1); want <= 3; want++ {
		i := get(t, p, s)
		stack := []uint64{0}
		if err := i.Call(s, "count", stack); err != nil || stack[0] != want*257 {
			t.Fatalf("run %d: %d, %v", want, stack[0], err)
		}
		p.Put(i, guest.Returned)
	}
}

// One that trapped, or has ended itself, does not.
func TestAnInstanceThatIsDoneIsNotKept(t *testing.T) {
	p, s := keptPool(t, "run"), newSession(t)
	for _, fn := range []string{"trap", "exit"} {
		i := get(t, p, s)
		stack := []uint64{0}
		if err := i.Call(s, "count", stack); err != nil || stack[0] != 257 {
			t.Fatalf("before %s: %d, %v", fn, stack[0], err)
		}
		err := i.Call(s, fn, []uint64{0})
		if err == nil {
			t.Fatalf("%s returned", fn)
		}
		p.Put(i, guest.EndOf(err))
	}
}

// With a fresh state for each run, one that ended itself can be used again.
func TestAnInstanceThatEndedItselfIsPutBack(t *testing.T) {
	p, s := newPool(t, "run"), newSession(t)
	first := get(t, p, s)
	stack := []uint64{0}
	if err := first.Call(s, "count", stack); err != nil {
		t.Fatal(err)
	}
	err := first.Call(s, "exit", []uint64{3})
	if got := guest.EndOf(err); got != guest.Ended {
		t.Fatalf("it is %v: %v", got, err)
	}
	p.Put(first, guest.EndOf(err))
	second := get(t, p, s)
	defer p.Put(second, guest.Returned)
	if second != first {
		t.Error("another instance was made")
	}
	if err := second.Call(s, "count", stack); err != nil || stack[0] != 257 {
		t.Errorf("%d, %v", stack[0], err)
	}
}

// An instance that waits for its next run does not hold on to the session of the
// last one, which may have a request's body.
func TestAnIdleInstanceHoldsNoSession(t *testing.T) {
	for name, p := range map[string]guest.Pool{"kept": keptPool(t, "run"), "put back": newPool(t, "run")} {
		p.Put(get(t, p, newSession(t)), guest.Returned) // is made and prepared
		last := func() weak.Pointer[session] {
			s := newSession(t)
			i := get(t, p, s)
			if err := i.Call(s, "count", []uint64{0}); err != nil {
				t.Fatal(err)
			}
			p.Put(i, guest.Returned)
			return weak.Make(s)
		}()
		for range 3 {
			runtime.GC()
		}
		if last.Value() != nil {
			t.Errorf("%s: the session is still there", name)
		}
		runtime.KeepAlive(p)
	}
}
