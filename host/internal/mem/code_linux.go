package mem

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"unsafe"

	"golang.org/x/sys/unix"
)

var (
	// ErrOtherCode means that a file does not hold the code that it is to stand for.
	ErrOtherCode = errors.New("the file holds other code")
	// ErrCodeLost means that there is no code any more, and nothing in its place.
	ErrCodeLost = errors.New("the kernel has no memory left, and has taken the code away")
)

// SharesCode says whether MapCode and ShareCode work here.
const SharesCode = true

// MapCode returns the machine code in f, ready to run. Processes that map the same
// file have its code once, in the page cache; where files cannot be run, as on a file
// system that is mounted noexec, each has a copy, which is not shared, and why says why.
// f must never change while anybody has it. unix.Munmap gives the code back.
func MapCode(f *os.File) (code []byte, why, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	size := int(info.Size())
	code, why = unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
	if why == nil {
		return code, nil, nil
	}
	code, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, nil, fmt.Errorf("map code: %w, and without the file: %w", why, err)
	}
	if _, err = io.ReadFull(f, code); err == nil {
		err = unix.Mprotect(code, unix.PROT_READ|unix.PROT_EXEC)
	}
	if err != nil {
		if err := unix.Munmap(code); err != nil {
			panic("BUG: unmap code: " + err.Error())
		}
		return nil, nil, fmt.Errorf("copy code: %w", err)
	}
	return code, fmt.Errorf("map code: %w", why), nil
}

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

// SetBytes sets a field that can be addressed, also one that its package keeps to
// itself. It must be a []byte.
func SetBytes(field reflect.Value, b []byte) {
	if field.Type() != reflect.TypeFor[[]byte]() {
		panic("BUG: a field is a " + field.Type().String() + ", not bytes")
	}
	*(*[]byte)(unsafe.Pointer(field.UnsafeAddr())) = b
}
