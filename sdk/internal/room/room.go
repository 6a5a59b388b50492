// Package room is imported for what it does when a guest begins: it has the runtime's
// allocator make room for objects of each common size, and for a goroutine. A server
// puts a guest back to what it was before its first connection or request, so each of
// them would have that to do again, and it is most of what a small handler would
// write to memory.
package room

import "runtime"

// Objects up to eachBytesMax have room whatever their size, larger ones if it is a
// power of two.
const (
	eachBytesMax = 512
	someBytesMax = 4096
)

func init() {
	for size := 8; size <= someBytesMax; {
		_, _ = objects(size)
		if size < eachBytesMax {
			size += 8
		} else {
			size *= 2
		}
	}
	// One that has ended leaves its stack to the next.
	go func() {}()
	runtime.Gosched()
}

// objects makes one without pointers and one of pointers, on the heap.
//
//go:noinline
func objects(size int) ([]byte, []*byte) { return make([]byte, size), make([]*byte, size/8) }
