// Package mem keeps a guest's linear memory outside the Go heap. The address
// range is reserved once at its largest size, so that memory.grow neither
// copies nor moves, and the garbage collector never sees it.
package mem
