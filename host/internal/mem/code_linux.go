package mem

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SharesCode says whether MapCode works here.
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

// SetBytes sets a field that can be addressed, also one that its package keeps to
// itself. It must be a []byte.
func SetBytes(field reflect.Value, b []byte) {
	if field.Type() != reflect.TypeFor[[]byte]() {
		panic("BUG: a field is a " + field.Type().String() + ", not bytes")
	}
	*(*[]byte)(unsafe.Pointer(field.UnsafeAddr())) = b
}
