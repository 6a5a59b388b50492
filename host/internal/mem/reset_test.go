//go:build linux

package mem

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	pageBytes = 4096
	wasmPage  = 64 << 10
)

// methods runs a test for each method that there is here.
func methods(t *testing.T, test func(t *testing.T, tracker *Tracker, method Method)) {
	for _, method := range []Method{Track, Copy, Discard} {
		t.Run(string(method), func(t *testing.T) {
			var tracker *Tracker
			if method == Track {
				var err error
				tracker, err = OpenTracker()
				if errors.Is(err, errors.ErrUnsupported) {
					t.Skip(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				defer tracker.Close()
			}
			test(t, tracker, method)
		})
	}
}

// content is memory of so many wasm pages in which each byte has a value of its
// place.
func content(pages int) []byte {
	b := make([]byte, pages*wasmPage)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>12) | 1
	}
	return b
}

func adopted(t *testing.T, want []byte, limit uint64, tracker *Tracker, method Method) *Region {
	t.Helper()
	img, err := NewImage(want)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Reserve(uint64(len(want)), limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Free()
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	})
	copy(r.Reallocate(uint64(len(want))), "left behind")
	if err := r.adopt(img, tracker, method); err != nil {
		t.Fatal(err)
	}
	return r
}

// Whatever is written, by the program or by the kernel for it, and however far
// the memory has grown: all methods bring the same content back.
func TestAnyMethodBringsTheImageBack(t *testing.T) {
	methods(t, func(t *testing.T, tracker *Tracker, method Method) {
		want := content(5)
		for at := 0; at < len(want); at += 7 * lineBytes { // guests have many zeros
			clear(want[at : at+3*lineBytes])
		}
		const limit = 9 * wasmPage
		r := adopted(t, want, limit, tracker, method)
		if !bytes.Equal(r.Reallocate(uint64(len(want))), want) {
			t.Fatal("an adopted image is not the content")
		}
		random := rand.New(rand.NewPCG(1, 2))
		rounds := 500
		if method == Track { // and over a sweep
			rounds = sweepResets + 100
		}
		for round := range rounds {
			size := uint64(len(want))
			if random.IntN(8) == 0 {
				size += uint64(random.IntN(5)) * wasmPage
			}
			m := r.Reallocate(size)
			if len(m) != int(size) {
				t.Fatal("memory does not grow")
			}
			for i := range m[len(want):] {
				if m[len(want)+i] != 0 {
					t.Fatalf("round %d: byte %d beyond the image is not zero", round, i)
				}
			}
			for range random.IntN(12) {
				at := random.IntN(len(m))
				for i := range m[at:min(len(m), at+random.IntN(2*pageBytes))] {
					m[at+i]++
				}
			}
			if random.IntN(500) == 0 {
				for i := range m {
					m[i] = 0xee
				}
			}
			if err := r.Reset(); err != nil {
				t.Fatal(err)
			}
			if got := r.Reallocate(uint64(len(want))); !bytes.Equal(got, want) {
				t.Fatalf("round %d: the memory differs", round)
			}
		}
	})
}

func TestWhatTheKernelWritesIsBroughtBackToo(t *testing.T) {
	methods(t, func(t *testing.T, tracker *Tracker, method Method) {
		want := content(2)
		r := adopted(t, want, uint64(len(want)), tracker, method)
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		defer out.Close()
		if _, err := out.WriteString("from the kernel"); err != nil {
			t.Fatal(err)
		}
		m := r.Reallocate(uint64(len(want)))
		if n, err := in.Read(m[5*pageBytes-7:]); err != nil || n == 0 {
			t.Fatal(n, err)
		}
		if bytes.Equal(m, want) {
			t.Fatal("nothing was read")
		}
		if err := r.Reset(); err != nil || !bytes.Equal(m, want) {
			t.Errorf("the memory differs, %v", err)
		}
	})
}

func TestShrinkAnswersTheNextGrowth(t *testing.T) {
	methods(t, func(t *testing.T, tracker *Tracker, method Method) {
		want := content(1)
		r := adopted(t, want, 4*wasmPage, tracker, method)
		r.Reallocate(3 * wasmPage)[2*wasmPage] = 7
		if err := r.Reset(); err != nil {
			t.Fatal(err)
		}
		r.Shrink()
		if m := r.Reallocate(4 * wasmPage); len(m) != wasmPage {
			t.Errorf("%d bytes", len(m))
		}
		if m := r.Reallocate(3 * wasmPage); len(m) != 3*wasmPage || m[2*wasmPage] != 0 {
			t.Errorf("%d bytes", len(m))
		}
	})
}

func TestAnImageIsChosenByWhatThereIs(t *testing.T) {
	for pages, want := range map[int]Method{1: Copy, 16: Copy, 17: Discard} {
		img, err := NewImage(make([]byte, pages*wasmPage))
		if err != nil {
			t.Fatal(err)
		}
		r, err := Reserve(0, img.Size())
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Adopt(img, nil); err != nil || r.Method() != want {
			t.Errorf("%d pages: %q, %v", pages, r.Method(), err)
		}
		small, err := Reserve(0, wasmPage/2)
		if err != nil {
			t.Fatal(err)
		}
		if err := small.Adopt(img, nil); err == nil {
			t.Error("adopted over the limit")
		}
		small.Free()
		r.Free()
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The first image would show behind a second one that is smaller.
func TestARegionAdoptsOneImage(t *testing.T) {
	want := content(2)
	r := adopted(t, want, uint64(len(want)), nil, Copy)
	defer func() {
		if recover() == nil {
			t.Error("it adopted a second one")
		}
	}()
	_ = r.Adopt(r.reset.image, nil)
}

// A memory that has grown once costs later resets nothing, as long as it does not
// grow again.
func TestOnlyWhatWasUsedIsDiscarded(t *testing.T) {
	methods(t, func(t *testing.T, tracker *Tracker, method Method) {
		want := content(1)
		r := adopted(t, want, 4*wasmPage, tracker, method)
		r.Reallocate(4 * wasmPage)[3*wasmPage] = 7
		for _, left := range []byte{0, 9} { // after the first reset, and after another one
			if err := r.Reset(); err != nil {
				t.Fatal(err)
			}
			if got := r.reserved[3*wasmPage]; got != left {
				t.Errorf("byte %d, want %d", got, left)
			}
			r.reserved[3*wasmPage] = 9 // no guest can: it stays if nobody looks there
		}
	})
}

// An image has pages for what is not zero only, and the content is that of all.
func TestAnImageHasNoPagesForZeros(t *testing.T) {
	for _, used := range [][]int{nil, {0}, {31}, {0, 31}, {3, 4, 5, 17}} {
		want := make([]byte, 2*wasmPage)
		for _, page := range used {
			want[page*pageBytes+page] = 7
		}
		img, err := NewImage(want)
		if err != nil {
			t.Fatal(err)
		}
		var stat unix.Stat_t
		if err := unix.Fstat(img.fd, &stat); err != nil {
			t.Fatal(err)
		}
		if got := int(stat.Blocks) * 512 / pageBytes; unix.Getpagesize() == pageBytes && got != len(used) {
			t.Errorf("%v: %d pages", used, got)
		}
		if !bytes.Equal(img.bytes, want) {
			t.Errorf("%v: the image is not the content", used)
		}
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	}
}

// BenchmarkReset writes to so many pages of 3 MiB and brings them back.
func BenchmarkReset(b *testing.B) {
	for _, method := range []Method{Track, Copy, Discard} {
		for _, dirty := range []int{1, 10, 50} {
			b.Run(string(method)+"/"+string(rune('0'+dirty/10))+string(rune('0'+dirty%10)), func(b *testing.B) {
				var tracker *Tracker
				if method == Track {
					var err error
					if tracker, err = OpenTracker(); err != nil {
						b.Skip(err)
					}
					defer tracker.Close()
				}
				img, err := NewImage(content(48))
				if err != nil {
					b.Fatal(err)
				}
				r, err := Reserve(img.Size(), img.Size())
				if err != nil {
					b.Fatal(err)
				}
				defer r.Free()
				if err := r.adopt(img, tracker, method); err != nil {
					b.Fatal(err)
				}
				m := r.Reallocate(img.Size())
				b.ReportAllocs()
				for b.Loop() {
					for i := range dirty {
						m[i*(len(m)/dirty)]++
					}
					if err := r.Reset(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
