package mem

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Method is how a region's content is brought back.
type Method string

// The methods.
const (
	// Track copies the pages back that were written.
	Track Method = "track"
	// Copy copies all of them: the quickest without a tracker, up to about
	// copyBytesMax.
	Copy Method = "copy"
	// Discard gives up the pages that were written, so that the next access
	// reads the image: a fault for each page that is used again.
	Discard Method = "discard"
)

// copyBytesMax is the largest image that is copied as a whole.
const copyBytesMax = 1 << 20

// reset is what a region needs to go back to its image.
type reset struct {
	image   *Image
	method  Method
	written *written // nil of other methods than Track
	shrink  bool     // the next Reallocate gives the image's size back
}

// Adopt replaces the region's content by that of img, to which Reset returns.
// t may be nil. img must be closed after the region is freed. A region adopts one.
func (r *Region) Adopt(img *Image, t *Tracker) error {
	return r.adopt(img, t, img.Method(t))
}

// Method is how a region goes back to the image that adopts it with t.
func (i *Image) Method(t *Tracker) Method {
	switch {
	case t != nil:
		return Track
	case i.Size() <= copyBytesMax:
		return Copy
	}
	return Discard
}

func (r *Region) adopt(img *Image, t *Tracker, method Method) error {
	if r.reset != nil {
		panic("BUG: a memory adopts a second image") // the first one would show behind it
	}
	size := img.Size()
	if size > r.limit {
		return fmt.Errorf("adopt memory image: its %d bytes are over the limit of %d", size, r.limit)
	}
	// Writes make private copies of pages; those that are only read stay shared.
	at := unsafe.Pointer(&r.reserved[0])
	_, err := unix.MmapPtr(img.fd, 0, at, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED)
	if err != nil {
		return fmt.Errorf("map memory image: %w", err)
	}
	if err := r.discardBeyond(size); err != nil {
		return err
	}
	r.committed = max(r.committed, size)
	r.reset = &reset{image: img, method: method}
	if method == Track {
		r.reset.written = &written{tracker: t, memory: r.reserved[:size], image: img.bytes}
		return t.watch(r.reserved[:size])
	}
	return nil
}

// Method is how Reset works; empty before Adopt.
func (r *Region) Method() Method {
	if r.reset == nil {
		return ""
	}
	return r.reset.method
}

// Reset brings back the content of the image that the region has adopted. What
// was committed beyond it is zero again.
//
// An error means that the region's content is not known any more.
func (r *Region) Reset() error {
	s := r.reset
	size := s.image.Size()
	if err := r.discardBeyond(size); err != nil {
		return err
	}
	memory := r.reserved[:size]
	switch s.method {
	case Copy:
		copy(memory, s.image.bytes)
	case Discard:
		return r.discard(0, size)
	case Track:
		return s.written.restore()
	}
	return nil
}

// discardBeyond makes what was used beyond size zero.
func (r *Region) discardBeyond(size uint64) error {
	if r.used > size {
		if err := r.discard(size, r.used); err != nil {
			return err
		}
	}
	r.used = size
	return nil
}

// discard drops the pages of a range.
func (r *Region) discard(from, to uint64) error {
	if err := unix.Madvise(r.reserved[from:to], unix.MADV_DONTNEED); err != nil {
		return fmt.Errorf("discard memory: %w", err)
	}
	return nil
}

// Shrink makes the next call of Reallocate return the image's size, whatever
// it asks for: the engine can make a memory larger only, and asks for that.
func (r *Region) Shrink() { r.reset.shrink = true }
