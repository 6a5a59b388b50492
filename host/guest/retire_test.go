package guest_test

import (
	"strings"
	"testing"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/sdk/abi"
)

// A run that did not come to its end may have left anything anywhere, so that its
// instance is not used again; the next run finds the image all the same.
func TestAnInstanceIsRetiredAfterARunThatFailed(t *testing.T) {
	p, s := newPool(t, "run"), newSession(t)
	defer p.Close()
	for _, fn := range []string{"trap", "out_of_bounds", "recurse"} {
		i := get(t, p, s)
		if err := i.Call(s, "count", []uint64{0}); err != nil {
			t.Fatal(err)
		}
		err := i.Call(s, fn, []uint64{0})
		if err == nil || guest.EndOf(err) != guest.Failed {
			t.Fatalf("%s: %v", fn, err)
		}
		p.Put(i, guest.EndOf(err))
		next, stack := get(t, p, s), []uint64{0}
		if next == i {
			t.Errorf("%s: the instance is used again", fn)
		}
		if err := next.Call(s, "count", stack); err != nil || stack[0] != 257 {
			t.Errorf("after %s: %d, %v", fn, stack[0], err)
		}
		p.Put(next, guest.Returned)
	}
}

// So it is when the host has ended the guest.
func TestAnInstanceIsRetiredAfterAnAbort(t *testing.T) {
	m := callsHost(t, func() { guest.Abort("no") })
	p, s := guest.NewPool(m, initialize, guest.Fresh), newSession(t)
	defer p.Close()
	i := get(t, p, s)
	err := i.Call(s, abi.ProcessConnection, []uint64{0})
	if err == nil {
		t.Fatal("it was not ended")
	}
	p.Put(i, guest.EndOf(err))
	next := get(t, p, s)
	defer p.Put(next, guest.Returned)
	if next == i {
		t.Error("the instance is used again")
	}
}

// What could leave something outside of memory and globals has each instance for
// one run only, and says why; what lies outside of the instance is not loaded at
// all.
func TestWhatCannotBePutBackIsMadeAnew(t *testing.T) {
	withDirs := source(t, "run")
	withDirs.Dirs = []guest.Dir{{Host: t.TempDir(), Guest: "/d"}}
	for name, test := range map[string]struct {
		src  guest.Source
		want string
	}{
		"nothing":            {source(t, "run"), ""},
		"table.grow":         {source(t, "table"), "its code changes tables"},
		"data.drop":          {source(t, "drops"), "its code changes tables"},
		"open files":         {withDirs, "it has folders"},
		"a global reference": {source(t, "refglobal"), "it has a global that is not a number"},
	} {
		m, err := warmRuntime(t, test.src).Load(t.Context(), test.src)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := m.MadeAnew(); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		p, s := guest.NewPool(m, initialize, guest.Fresh), newSession(t)
		first := get(t, p, s)
		p.Put(first, guest.Returned)
		second := get(t, p, s)
		p.Put(second, guest.Returned)
		if again := first == second; again != (test.want == "") {
			t.Errorf("%s: used again %t", name, again)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"imported_memory", "shared_memory"} {
		if _, err := newRuntime(t, "").Load(t.Context(), source(t, name)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The descriptors of a guest without folders are no state: closed in one run, they
// are there in the next.
func TestAClosedStreamIsThereInTheNextRun(t *testing.T) {
	p, s := newPool(t, "closes"), newSession(t)
	defer p.Close()
	for range 3 {
		i := get(t, p, s)
		stack := []uint64{0}
		if err := i.Call(s, "process_connection", stack); err != nil || stack[0] != 0 {
			t.Errorf("it returned %d, %v", stack[0], err)
		}
		p.Put(i, guest.Returned)
	}
	if got := strings.Join(s.lines, ", "); got != "stdout: hi, stdout: hi, stdout: hi" {
		t.Errorf("it wrote %q", got)
	}
}
