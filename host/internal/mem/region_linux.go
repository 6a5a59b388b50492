package mem

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Region is one linear memory. One goroutine uses it at a time.
type Region struct {
	reserved  []byte // the whole range; nil once freed
	limit     uint64 // bytes that may be used
	committed uint64 // bytes from the start that are readable and writable
	used      uint64 // of those, what may differ from the image and zeros behind it
	reset     *reset // nil before Adopt
}

// Reserve takes an address range of limit bytes and makes the first size of
// them usable. What is not in use yet has no access rights, so it counts
// against no overcommit limit and a stray access faults.
//
// It fails when size is over limit or the kernel has no address space or
// memory left.
func Reserve(size, limit uint64) (*Region, error) {
	if size > limit {
		return nil, fmt.Errorf("reserve memory: %d bytes is over the limit of %d", size, limit)
	}
	// The kernel refuses an empty mapping, but a wasm memory may have no page.
	length := max(limit, uint64(unix.Getpagesize()))
	buf, err := unix.Mmap(-1, 0, int(length), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserve memory of %d bytes: %w", limit, err)
	}
	r := &Region{reserved: buf, limit: limit}
	if r.Reallocate(size) == nil {
		r.Free()
		return nil, fmt.Errorf("commit memory of %d bytes: %w", size, unix.ENOMEM)
	}
	return r, nil
}

// Reallocate returns the first size bytes, always at the same address, or nil
// if that is over the limit or the kernel has no memory left. New bytes are
// zero. It is wazero's LinearMemory.Reallocate.
func (r *Region) Reallocate(size uint64) []byte {
	if r.reset != nil && r.reset.shrink {
		r.reset.shrink = false
		size = r.reset.image.Size()
	}
	if r.reserved == nil || size > r.limit {
		return nil
	}
	if size > r.committed {
		grown := r.reserved[r.committed:size]
		if unix.Mprotect(grown, unix.PROT_READ|unix.PROT_WRITE) != nil {
			return nil
		}
		r.committed = size
	}
	r.used = max(r.used, size)
	return r.reserved[:size:size]
}

// Free gives the range back. Any slice of it must not be touched again. More
// than one call does nothing. It is wazero's LinearMemory.Free.
func (r *Region) Free() {
	if r.reserved == nil {
		return
	}
	if err := unix.Munmap(r.reserved); err != nil {
		panic("BUG: unmap a guest's memory: " + err.Error())
	}
	r.reserved = nil
}
