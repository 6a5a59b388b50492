package sys

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SizeSeals fix the size of a memfd, so that no holder can shrink it under a
// mapping of another, which would end that process with SIGBUS.
// AllSeals freeze its content as well. ReadOnlySeals leave a mapping that is
// writable already as it is, and allow no other way to write. See fcntl(2),
// "File Sealing".
const (
	SizeSeals     = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	AllSeals      = SizeSeals | unix.F_SEAL_WRITE
	ReadOnlySeals = SizeSeals | unix.F_SEAL_FUTURE_WRITE
)

// Memfd makes an anonymous file of size bytes. The name is only for
// /proc/PID/fd.
func Memfd(name string, size int64) (FD, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return None, fmt.Errorf("make memfd %s: %w", name, err)
	}
	if size > 0 {
		if err := unix.Ftruncate(fd, size); err != nil {
			_ = unix.Close(fd)
			return None, fmt.Errorf("size memfd %s: %w", name, err)
		}
	}
	return FD(fd), nil
}

// Seal adds seals to a memfd. They cannot be taken off again.
func (fd FD) Seal(seals int) error {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal memfd: %w", err)
	}
	return nil
}

// HasSeals reports whether the descriptor is a memfd with at least seals.
func (fd FD) HasSeals(seals int) bool {
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	return err == nil && got&seals == seals
}

// Size is the file's size in bytes.
func (fd FD) Size() (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil {
		return 0, fmt.Errorf("stat descriptor: %w", err)
	}
	return st.Size, nil
}

// Map maps the first size bytes, shared with every process that maps them.
func (fd FD) Map(size int, writable bool) ([]byte, error) {
	prot := unix.PROT_READ
	if writable {
		prot |= unix.PROT_WRITE
	}
	mem, err := unix.Mmap(int(fd), 0, size, prot, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", size, err)
	}
	return mem, nil
}

// Unmap undoes Map.
func Unmap(mem []byte) error {
	return unix.Munmap(mem)
}

// At views the start of mapped memory as a T, which must be free of pointers
// and no larger than mem.
func At[T any](mem []byte) *T {
	if size := unsafe.Sizeof(*new(T)); uintptr(len(mem)) < size {
		panic("BUG: the mapping is smaller than what is to be seen in it")
	}
	return (*T)(unsafe.Pointer(&mem[0]))
}
