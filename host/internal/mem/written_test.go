//go:build linux

package mem

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
)

func tracked(t *testing.T, want []byte) *Region {
	t.Helper()
	tracker, err := OpenTracker()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tracker.Close)
	return adopted(t, want, uint64(len(want)), tracker, Track)
}

// sparse is content of which half is zeros.
func sparse(pages int, random *rand.Rand) []byte {
	b := content(pages)
	for at := 0; at < len(b); at += lineBytes {
		if random.IntN(2) == 0 {
			clear(b[at : at+lineBytes])
		}
	}
	return b
}

// A page that was not written for thousands of runs is found as soon as it is, whoever
// writes to it: the program, another thread of it, or the kernel.
func TestAWriteToAnotherPageIsFound(t *testing.T) {
	want := sparse(4, rand.New(rand.NewPCG(1, 2)))
	r := tracked(t, want)
	memory := r.Reallocate(uint64(len(want)))
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	writers := []func(part []byte){
		func(part []byte) { part[0]++ },
		func(part []byte) {
			done := make(chan struct{})
			go func() {
				runtime.LockOSThread() // ends with the goroutine, and its count of faults with it
				part[0]++
				close(done)
			}()
			<-done
		},
		func(part []byte) {
			if _, err := out.WriteString("from the kernel"); err != nil {
				t.Error(err)
			}
			if _, err := in.Read(part); err != nil {
				t.Error(err)
			}
		},
	}
	searched := 0
	for round := range 3 * sweepResets {
		for at := pageBytes; at < 9*pageBytes; at += pageBytes { // as in each run
			memory[at+round%pageBytes]++
		}
		if round%1000 == 999 {
			page := 10 + round/1000
			writers[page%len(writers)](memory[page*pageBytes+7 : (page+1)*pageBytes])
		}
		before := r.reset.written.faults
		if err := r.Reset(); err != nil {
			t.Fatal(err)
		}
		if r.reset.written.faults != before {
			searched++
		}
		if round%100 < 2 || round%1000 > 990 {
			if !bytes.Equal(memory, want) {
				t.Fatalf("round %d: the memory differs", round)
			}
		}
	}
	if searched > sweepResets {
		t.Errorf("%d searches in %d rounds that nearly all write to the same pages", searched, 3*sweepResets)
	}
}

// A write that another thread does behind a search is found by the next one.
func TestAWriteBehindTheSearchIsFoundByTheNext(t *testing.T) {
	const rounds = 20 // in each, two pages: fewer bytes than a sweep waits for
	want := sparse(4, rand.New(rand.NewPCG(5, 6)))
	r := tracked(t, want)
	memory := r.Reallocate(uint64(len(want)))
	searches := 0
	for round := range rounds {
		page := 2 * round
		r.reset.written.searched = func() {
			searches++
			done := make(chan struct{})
			go func() {
				defer close(done)
				runtime.LockOSThread() // ends with the goroutine, and its count of faults with it
				memory[(page+1)*pageBytes]++
			}()
			<-done
		}
		memory[page*pageBytes]++
		if err := r.Reset(); err != nil {
			t.Fatal(err)
		}
		r.reset.written.searched = nil
		if err := r.Reset(); err != nil {
			t.Fatal(err)
		}
		if at := (page + 1) * pageBytes; memory[at] != want[at] {
			t.Errorf("round %d: the page is not put back", round)
		}
	}
	if searches != rounds {
		t.Errorf("%d searches in %d rounds that all write to another page", searches, rounds)
	}
	if !bytes.Equal(memory, want) {
		t.Error("the memory differs")
	}
}

// Pages that are written by and by are all brought back, and none is looked for twice.
func TestAPatchIsTheImageOfItsPages(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		want := sparse(2, random)
		var spans []span
		memory := content(2)
		random.Shuffle(len(memory), func(i, j int) { memory[i], memory[j] = memory[j], memory[i] })
		expect := bytes.Clone(memory)
		for page := 0; page < len(want)/pageBytes; page += 1 + random.IntN(4) {
			s := span{uint64(page * pageBytes), uint64((page + 1) * pageBytes)}
			if random.IntN(4) == 0 {
				clear(want[s.from:s.to])
			}
			spans = append(spans, s)
			copy(expect[s.from:s.to], want[s.from:s.to])
		}
		var p patch
		p.make(content(2), spans) // of another image
		p.make(want, spans)
		p.apply(memory)
		if !bytes.Equal(memory, expect) {
			t.Fatal("the memory differs")
		}
	}
}
