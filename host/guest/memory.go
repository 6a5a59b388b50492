package guest

import (
	"fmt"

	"github.com/tetratelabs/wazero/api"
)

// DefaultMemoryLimitBytes bounds an instance's memory unless its plugin says
// otherwise.
const DefaultMemoryLimitBytes = 64 << 20

const (
	pageBytes = 64 << 10
	// pagesMax leaves out the last page of the address space: with it, the
	// size in bytes would not fit the 32 bits the engine returns it in.
	pagesMax = 1<<16 - 1
)

// limitPages turns a limit in bytes, 0 meaning the default, into whole pages.
func limitPages(limit uint64) uint64 {
	if limit == 0 {
		limit = DefaultMemoryLimitBytes
	}
	return min(limit/pageBytes, pagesMax)
}

// Memory is the memory of the guest that called a host function. Slices of it
// are valid until the guest runs again.
type Memory struct {
	m api.Memory
}

// Bytes returns the n bytes at ptr, or false if not all of them are inside.
func (m Memory) Bytes(ptr, n uint32) ([]byte, bool) {
	return m.m.Read(ptr, n)
}

// BytesUpTo is like Bytes, but cuts n at the end of the memory. It returns
// false if nothing is left.
func (m Memory) BytesUpTo(ptr, n uint32) ([]byte, bool) {
	size := m.m.Size()
	if ptr >= size {
		return nil, false
	}
	return m.m.Read(ptr, min(n, size-ptr))
}

// sizeText renders a number of bytes with the largest unit that divides it.
func sizeText(n uint64) string {
	units := [...]string{"bytes", "KiB", "MiB", "GiB"}
	i := 0
	for i < len(units)-1 && n != 0 && n%1024 == 0 {
		n /= 1024
		i++
	}
	return fmt.Sprintf("%d %s", n, units[i])
}
