//go:build !linux

package mem

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
)

// Region is one linear memory, here on the Go heap. One goroutine uses it at
// a time.
type Region struct {
	buf    []byte
	limit  uint64
	image  *Image
	shrink bool // the next Reallocate gives the image's size back
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
	if r.shrink {
		r.shrink = false
		r.buf = r.buf[:r.image.Size()]
		return r.buf
	}
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

// Image is the content of a memory at one moment.
type Image struct{ bytes []byte }

// NewImage keeps a copy of content.
func NewImage(content []byte) (*Image, error) { return &Image{bytes.Clone(content)}, nil }

// Size is its length in bytes.
func (i *Image) Size() uint64 { return uint64(len(i.bytes)) }

// Is reports whether it holds this content.
func (i *Image) Is(content []byte) bool { return bytes.Equal(i.bytes, content) }

// Close gives up the image.
func (i *Image) Close() error { return nil }

// Tracker finds out which pages were written, on Linux.
type Tracker struct{}

// OpenTracker fails with errors.ErrUnsupported.
func OpenTracker() (*Tracker, error) { return nil, errors.ErrUnsupported }

// Close does nothing.
func (t *Tracker) Close() {}

// Method is how a region's content is brought back.
type Method string

// Copy copies all of it.
const Copy Method = "copy"

// Adopt replaces the region's content by that of img, to which Reset returns.
func (r *Region) Adopt(img *Image, _ *Tracker) error {
	if img.Size() > r.limit {
		return fmt.Errorf("adopt memory image: its %d bytes are over the limit of %d", img.Size(), r.limit)
	}
	r.image = img
	r.buf = append(r.buf[:0], img.bytes...)
	return nil
}

// Method is how regions go back to the image.
func (i *Image) Method(*Tracker) Method { return Copy }

// Method is how Reset works.
func (r *Region) Method() Method { return Copy }

// Reset brings back the content of the image that the region has adopted.
func (r *Region) Reset() error {
	copy(r.buf, r.image.bytes)
	clear(r.buf[len(r.image.bytes):])
	return nil
}

// Shrink makes the next call of Reallocate return the image's size.
func (r *Region) Shrink() { r.shrink = true }

// ErrCodeLost means that the code was taken away.
var ErrCodeLost = errors.New("the code was taken away")

// SharesCode says whether MapCode and ShareCode work here.
const SharesCode = false

// MapCode fails with errors.ErrUnsupported.
func MapCode(*os.File) (code []byte, why, err error) { return nil, nil, errors.ErrUnsupported }

// ShareCode fails with errors.ErrUnsupported.
func ShareCode([]byte, *os.File) error { return errors.ErrUnsupported }

// SetBytes panics.
func SetBytes(reflect.Value, []byte) {
	panic("BUG: code is shared on a system that has no way to do it")
}
