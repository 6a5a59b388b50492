package guest_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/internal/hosttest"
	"github.com/apphost/apphost/sdk/abi"
)

// What the program of testdata is told to do at the end of a part.
const (
	toGoOn = iota
	toTrap
	toExit
	toReturn
	toRecurse
	toTakeMemory
	toLookOutside
	toRecurseForEver
)

// programSession is one part of that program.
type programSession struct {
	*session
	seed, last, told, noise uint32
	found                   []uint32
}

func programABI() guest.ABI {
	of := func(ctx context.Context) *programSession { return guest.SessionOf(ctx).(*programSession) }
	return guest.ABI{
		Name: "program", ImportModule: "test", Park: "accept",
		Funcs: []guest.HostFunc{
			{Name: "accept", Type: guest.Signature("", "i")},
			{Name: "ask", Type: guest.Signature("i", "i"), Call: func(ctx context.Context, _ guest.Memory, stack []uint64) {
				s := of(ctx)
				stack[0] = uint64([]uint32{s.seed, s.last, s.told, s.noise}[uint32(stack[0])])
			}},
			{Name: "report", Type: guest.Signature("i", ""), Call: func(ctx context.Context, _ guest.Memory, stack []uint64) {
				s := of(ctx)
				s.found = append(s.found, uint32(stack[0]))
			}},
		},
		Required: []guest.ExportFunc{{Name: abi.Start, Type: guest.Signature("", "")}},
	}
}

func programPool(t testing.TB, name string, isolation guest.Isolation) guest.Pool {
	t.Helper()
	r, err := guest.NewRuntime(t.Context(), guest.Options{CacheDir: t.TempDir(), KeepCache: true, ABIs: []guest.ABI{programABI()}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Load(t.Context(), guest.Source{Name: name, Wasm: wasm(t, name)})
	if err == nil { // a child has it from the cache
		m, err = r.Load(t.Context(), guest.Source{Name: name, Wasm: wasm(t, name)})
	}
	if err != nil {
		t.Fatal(err)
	}
	p := guest.NewPool(m, func(s guest.Session, i *guest.Instance) (any, error) { return nil, i.Run(s) }, isolation)
	t.Cleanup(func() {
		if err := errors.Join(p.Close(), r.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return p
}

func newPart(t testing.TB) *programSession { return &programSession{session: newSession(t)} }

// part lets an instance run once and returns how that ended. It must have found
// nothing.
func part(t testing.TB, i *guest.Instance, s *programSession, told uint32) guest.End {
	t.Helper()
	s.told, s.found = told, nil
	end := guest.EndOf(i.Run(s))
	if len(s.found) == 0 || s.found[0] != 0 {
		t.Fatalf("found %b", s.found)
	}
	s.seed, s.last = s.seed+1, s.seed
	return end
}

// Each part begins where the program has parked first, however the one before it
// went, and in the same instance as long as that is good.
func TestNoPartOfAProgramFindsATraceOfAnother(t *testing.T) {
	p, s := programPool(t, "program", guest.Fresh), newPart(t)
	random := rand.New(rand.NewPCG(3, 4))
	runs := 200_000
	if testing.Short() {
		runs = 5000
	}
	instances := map[*guest.Instance]bool{}
	lost := 0
	for n := range runs {
		i := get(t, p, s)
		instances[i] = true
		told, want := uint32(toGoOn), guest.Returned
		switch random.IntN(100) {
		case 0:
			told, want = toTrap, guest.Failed
		case 1:
			told, want = toExit, guest.Ended
		case 2:
			told, want = toReturn, guest.Ended
		case 3:
			told = toTakeMemory // such an instance cannot be made smaller
		case 4, 5, 6:
			told = toRecurse
		}
		if want != guest.Returned || told == toTakeMemory {
			lost++
		}
		if end := part(t, i, s, told); end != want {
			t.Fatalf("run %d, told to do %d: it ended with %d", n, told, end)
		}
		p.Put(i, want)
	}
	if most := lost + runs/guest.PartsMax + 1; len(instances) > most {
		t.Errorf("%d instances were made, %d were lost", len(instances), lost)
	}
}

// FuzzProgramOrder holds for any order of parts and of how they end, with several
// instances at a time.
func FuzzProgramOrder(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 0, 8, 16, 9, 17, 10, 18, 11})
	f.Add([]byte{0, 0, 0, 0, 12, 20, 28, 13, 21, 29, 37, 0, 1})
	p := programPool(f, "program", guest.Fresh)
	f.Fuzz(func(t *testing.T, order []byte) {
		s := &programSession{session: &session{Context: context.Background()}, seed: 1}
		type run struct {
			i   *guest.Instance
			end guest.End
		}
		var out []run
		for _, b := range order {
			if told := uint32(b % 8); len(out) < 4 && told < toRecurseForEver {
				i := get(t, p, s)
				out = append(out, run{i, part(t, i, s, told)})
				continue
			}
			if len(out) > 0 {
				at := int(b/8) % len(out)
				p.Put(out[at].i, out[at].end)
				out = append(out[:at], out[at+1:]...)
			}
		}
		for _, r := range out {
			p.Put(r.i, r.end)
		}
	})
}

// A memory that a part has grown is as small as before in the next one, in the same
// instance.
func TestAPartsMemoryIsTakenAway(t *testing.T) {
	p, s := programPool(t, "program", guest.Fresh), newPart(t)
	first := get(t, p, s)
	part(t, first, s, toGoOn) // the seed 0 grows by a page
	if b, _ := first.Memory().BytesUpTo(0, 1<<31); len(b) != 3<<16 {
		t.Fatalf("the memory has %d bytes", len(b))
	}
	p.Put(first, guest.Returned)
	second := get(t, p, s)
	defer p.Put(second, guest.Returned)
	if b, _ := second.Memory().BytesUpTo(0, 1<<31); first != second || len(b) != 2<<16 {
		t.Errorf("the same instance: %t; %d bytes", first == second, len(b))
	}
}

// Instances that are prepared each by the program have one image all the same; what
// is drawn in a part differs, and the clock goes on.
func TestProgramsShareAnImage(t *testing.T) {
	p, s := programPool(t, "program", guest.Fresh), newPart(t)
	var out []*guest.Instance
	drawn := map[uint32]bool{}
	for range 8 {
		i := get(t, p, s)
		out = append(out, i)
		if guest.HasOwnImage(i) {
			t.Error("an instance has an image of its own")
		}
		for range 2 {
			part(t, i, s, toLookOutside)
			if s.found[2] != 1 {
				t.Error("the clock went back")
			}
			drawn[s.found[1]] = true
			p.Put(i, guest.Returned)
			i = get(t, p, s)
		}
	}
	for _, i := range out {
		p.Put(i, guest.Returned)
	}
	if len(drawn) != 16 {
		t.Errorf("%d random numbers in 16 parts", len(drawn))
	}
}

// One that is told something else than the first has an image of its own, and gives
// it back.
func TestAProgramThatDiffersHasItsOwnImage(t *testing.T) {
	p, s := programPool(t, "program", guest.Fresh), newPart(t)
	first := get(t, p, s)
	before := descriptors(t)
	s.noise = 9
	second := get(t, p, s)
	if !guest.HasOwnImage(second) {
		t.Error("it shares the first one's")
	}
	for range 3 {
		part(t, first, s, toGoOn)
		part(t, second, s, toGoOn)
		for i, want := range map[*guest.Instance]byte{first: 0, second: 9} {
			if b, _ := i.Memory().Bytes(1072, 1); b[0] != want {
				t.Fatalf("a program finds the image of another: %d, want %d", b[0], want)
			}
		}
		p.Put(first, guest.Returned)
		p.Put(second, guest.Returned)
		if second, first = get(t, p, s), get(t, p, s); guest.HasOwnImage(first) {
			first, second = second, first
		}
	}
	p.Put(second, guest.Failed)
	p.Put(first, guest.Returned)
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, there were %d", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(entries)
}

// What a program does comes back as a failure, and its goroutine ends with it, or
// with the pool.
func TestNothingOfAProgramIsLeft(t *testing.T) {
	check := hosttest.Goroutines(t)
	for _, isolation := range []guest.Isolation{guest.Fresh, guest.Own, guest.Kept} {
		for told, want := range map[uint32]string{
			toTrap:           "_start trapped: wasm error: unreachable",
			toExit:           "_start exited with code 3",
			toReturn:         "_start exited with code 0",
			toRecurseForEver: "_start trapped: stack overflow",
		} {
			p, s := programPool(t, "program", isolation), newPart(t)
			var parked []*guest.Instance
			for range 3 {
				parked = append(parked, get(t, p, s))
			}
			for _, i := range parked {
				p.Put(i, guest.Returned)
			}
			i := get(t, p, s)
			s.told = told
			err := i.Run(s)
			if f, ok := errors.AsType[*guest.Failure](err); !ok || f.Error() != want {
				t.Errorf("%d: %v, want %s", told, err, want)
			} else if told == toTrap && !strings.Contains(f.Stack, ".main()") {
				t.Errorf("stack %q", f.Stack)
			}
			p.Put(i, guest.EndOf(err))
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	check()
}

// The stack of one that recursed without end is tens of MiB, which the collector would
// leave for long.
func TestARecursionOfAProgramLeavesNoGarbage(t *testing.T) {
	p, s := programPool(t, "program", guest.Fresh), newPart(t)
	defer func() { _ = p.Close() }()
	i := get(t, p, s)
	s.told = toRecurseForEver
	err := i.Run(s)
	if f, ok := errors.AsType[*guest.Failure](err); !ok || f.Kind != guest.StackOverflow {
		t.Fatal(err)
	}
	p.Put(i, guest.EndOf(err))
	var left runtime.MemStats
	runtime.ReadMemStats(&left)
	if left.HeapAlloc > 32<<20 {
		t.Errorf("%d MiB are left", left.HeapAlloc>>20)
	}
}

// A program parks in its main function, and nowhere else.
func TestAProgramThatNeverParksFailsGet(t *testing.T) {
	for name, want := range map[string]string{
		"program_ends":  "_start exited with code 0",
		"program_early": "instantiate misused the host: accept: it waits for its next run before its main function has begun",
	} {
		_, err := programPool(t, name, guest.Fresh).Get(newPart(t))
		if f, ok := errors.AsType[*guest.Failure](err); !ok || f.Error() != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}

// BenchmarkProgram is a part of a program, with the reset after it.
func BenchmarkProgram(b *testing.B) {
	p := programPool(b, "program", guest.Fresh)
	s := &programSession{session: &session{Context: context.Background()}, seed: 1}
	b.ReportAllocs()
	for b.Loop() {
		i := get(b, p, s)
		if err := i.Run(s); err != nil {
			b.Fatal(err)
		}
		s.found = s.found[:0]
		p.Put(i, guest.Returned)
	}
}
