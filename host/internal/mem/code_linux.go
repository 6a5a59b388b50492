package mem

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

var (
	// ErrOtherCode means that a file does not hold the code that it is to stand for.
	ErrOtherCode = errors.New("the file holds other code")
	// ErrCodeLost means that there is no code any more, and nothing in its place.
	ErrCodeLost = errors.New("the kernel has no memory left, and has taken the code away")
)

// ShareCode puts the pages of f in the place of code, which is whole mappings of
// machine code that nobody runs yet, so that processes that do the same have the
// code once, in the page cache. f must never change while anybody has it, and has
// to hold the very same bytes, which is checked.
//
// # Errors
//
//   - ErrCodeLost: code must not be run any more
//   - otherwise code is as it was
//   - ErrOtherCode
//   - the file cannot be mapped as code, as on a file system that is mounted noexec
func ShareCode(code []byte, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("share code: %w", err)
	}
	if info.Size() != int64(len(code)) || len(code) == 0 {
		return ErrOtherCode
	}
	size := uintptr(len(code))
	from, err := unix.MmapPtr(int(f.Fd()), 0, nil, size, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("share code: map it: %w", err)
	}
	if !bytes.Equal(unsafe.Slice((*byte)(from), len(code)), code) {
		if err := unix.MunmapPtr(from, size); err != nil {
			panic("BUG: unmap code: " + err.Error())
		}
		return ErrOtherCode
	}
	if _, err := unix.MremapPtr(from, size, unsafe.Pointer(&code[0]), size, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED); err != nil {
		return fmt.Errorf("share code: %w: %w", ErrCodeLost, err)
	}
	return nil
}
