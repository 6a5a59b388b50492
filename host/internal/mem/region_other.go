//go:build !linux

package mem

import "fmt"

// Region is one linear memory, here on the Go heap. One goroutine uses it at
// a time.
type Region struct {
	buf   []byte
	limit uint64
}

// Reserve makes a memory of size bytes that can grow to limit. It fails when
// size is over limit.
func Reserve(size, limit uint64) (*Region, error) {
	if size > limit {
		return nil, fmt.Errorf("reserve memory: %d bytes is over the limit of %d", size, limit)
	}
	return &Region{buf: make([]byte, size), limit: limit}, nil
}

// Reallocate returns a memory of size bytes with the old content, or nil if
// that is over the limit. It is wazero's LinearMemory.Reallocate.
func (r *Region) Reallocate(size uint64) []byte {
	if r.buf == nil || size > r.limit {
		return nil
	}
	if grow := int(size) - len(r.buf); grow > 0 {
		r.buf = append(r.buf, make([]byte, grow)...)
	}
	return r.buf[:size:size]
}

// Free drops the memory. It is wazero's LinearMemory.Free.
func (r *Region) Free() { r.buf = nil }
