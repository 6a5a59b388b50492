package mem

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/unix"
)

// Image is the content of a memory at one moment. Regions that adopt it share
// its pages until they write to them. It never changes: the file behind it is
// sealed, so that nobody can, and cannot be cut short under its readers.
type Image struct {
	fd    int
	bytes []byte // mapped for reading
}

// NewImage keeps a copy of content, which must be whole pages of the system
// and not empty.
func NewImage(content []byte) (*Image, error) {
	fd, err := unix.MemfdCreate("apphost-image", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make memory image: %w", err)
	}
	for at := 0; at < len(content) && err == nil; {
		var n int
		n, err = unix.Pwrite(fd, content[at:], int64(at))
		at += n
	}
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL)
	}
	var bytes []byte
	if err == nil {
		bytes, err = unix.Mmap(fd, 0, len(content), unix.PROT_READ, unix.MAP_SHARED)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make memory image of %d bytes: %w", len(content), err)
	}
	return &Image{fd, bytes}, nil
}

// Size is its length in bytes.
func (i *Image) Size() uint64 { return uint64(len(i.bytes)) }

// Is reports whether it holds this content.
func (i *Image) Is(content []byte) bool { return bytes.Equal(i.bytes, content) }

// Close gives up the image. No region that adopted it may be reset any more.
func (i *Image) Close() error {
	if err := unix.Munmap(i.bytes); err != nil {
		panic("BUG: unmap a memory image: " + err.Error())
	}
	if err := unix.Close(i.fd); err != nil {
		return fmt.Errorf("close memory image: %w", err)
	}
	return nil
}
