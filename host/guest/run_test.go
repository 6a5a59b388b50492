package guest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/sdk/abi"
)

func TestAFailureSaysHowTheGuestEnded(t *testing.T) {
	tests := []struct {
		fn    string
		arg   uint64
		kind  guest.FailureKind
		text  string
		stack string // a part of it
	}{
		{"trap", 0, guest.Trapped, "trap trapped: wasm error: unreachable", ".inner()\n."},
		{"out_of_bounds", 0, guest.Trapped, "out_of_bounds trapped: wasm error: out of bounds memory access", ".$"},
		{"recurse", 1, guest.StackOverflow, "recurse trapped: stack overflow", ""},
		{"exit", 3, guest.Exited, "exit exited with code 3", ""},
		{"exit", 0, guest.Exited, "exit exited with code 0", ""},
	}
	pool := newPool(t, "run")
	for _, test := range tests {
		t.Run(test.fn, func(t *testing.T) {
			s := newSession(t)
			i := get(t, pool, s)
			err := i.Call(s, test.fn, []uint64{test.arg})
			pool.Put(i, guest.EndOf(err))
			f, ok := errors.AsType[*guest.Failure](err)
			if !ok {
				t.Fatalf("error %v", err)
			}
			if f.Kind != test.kind || f.Error() != test.text || !strings.Contains(f.Stack, test.stack) {
				t.Errorf("kind %d, %q, stack %q; want kind %d, %q, stack with %q",
					f.Kind, f, f.Stack, test.kind, test.text, test.stack)
			}
			if strings.Contains(f.Error()+f.Stack, ".go:") {
				t.Errorf("a Go stack in %q", f.Error()+f.Stack)
			}
		})
	}
}

func TestEachInstanceIsFresh(t *testing.T) {
	pool := newPool(t, "run")
	s := newSession(t)
	for range 3 {
		i := get(t, pool, s)
		for n := range uint64(3) {
			stack := []uint64{0}
			if err := i.Call(s, "count", stack); err != nil {
				t.Fatal(err)
			}
			if want := (n + 1) * 257; stack[0] != want {
				t.Fatalf("count %#x, want %#x", stack[0], want)
			}
		}
		pool.Put(i, guest.Returned)
	}
}

func TestOutputBecomesBoundedLines(t *testing.T) {
	pool := newPool(t, "run")
	s := newSession(t)
	i := get(t, pool, s)
	print := func(fd, n uint64) {
		if err := i.Call(s, "print", []uint64{fd, n}); err != nil {
			t.Fatal(err)
		}
	}
	print(1, 13)
	print(2, 3)
	print(1, 2)                    // ends no line
	print(2, 3*abi.LogBytesMax+13) // its first line ends at 4
	pool.Put(i, guest.Returned)
	long := make([]int, 0, len(s.lines))
	for n, line := range s.lines {
		if strings.ContainsRune(line, 0) {
			long = append(long, len(line)-len("stderr: "))
			s.lines[n] = "long"
		}
	}
	want := []string{"stdout: one", "stdout: two", "stderr: oneone", "stderr: two", "long", "long", "long", "stdout: threon", "long"}
	if !slices.Equal(s.lines, want) {
		t.Errorf("lines %q, want %q", s.lines, want)
	}
	if slices.Max(long) > abi.LogBytesMax {
		t.Errorf("line of %d bytes", slices.Max(long))
	}
}

func TestStartThatExitsWithZeroInitializes(t *testing.T) {
	pool := newPool(t, "start_exits")
	s := newSession(t)
	i := get(t, pool, s)
	defer pool.Put(i, guest.Returned)
	stack := []uint64{0}
	if err := i.Call(s, abi.HandleRequest, stack); err != nil || stack[0] != 5 {
		t.Fatalf("handle_request returned %d, %v; want the 5 that _start left", stack[0], err)
	}
}

func TestAStartFunctionThatTrapsFailsGet(t *testing.T) {
	pool := newPool(t, "start_traps")
	_, err := pool.Get(newSession(t))
	if f, ok := errors.AsType[*guest.Failure](err); !ok || !strings.Contains(f.Error(), "unreachable") {
		t.Fatalf("error %v", err)
	}
}

func TestAGuestIsToldItsArguments(t *testing.T) {
	pool := newPool(t, "run")
	s := newSession(t)
	i := get(t, pool, s)
	if err := i.Call(s, "arg", []uint64{0}); err != nil {
		t.Fatal(err)
	}
	if err := i.Call(s, "print", []uint64{1, 3}); err != nil {
		t.Fatal(err)
	}
	pool.Put(i, guest.Returned)
	if want := []string{"stdout: run"}; !slices.Equal(s.lines, want) {
		t.Errorf("printed %q, want %q", s.lines, want)
	}
}

func BenchmarkInstance(b *testing.B) {
	pool := newPool(b, "run")
	s := &session{Context: context.Background()}
	stack := []uint64{0}
	for b.Loop() {
		i := get(b, pool, s)
		if err := i.Call(s, "count", stack); err != nil {
			b.Fatal(err)
		}
		pool.Put(i, guest.Returned)
	}
}
