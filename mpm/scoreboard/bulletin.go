package scoreboard

import (
	"errors"
	"fmt"
	"hash/crc32"
	"sync/atomic"
	"time"

	"github.com/apphost/apphost/mpm/internal/sys"
)

const (
	bulletinMagic   = 0x61706262
	bulletinVersion = 1
)

// bulletinHeader is at the start of a bulletin, the text right after it.
// While sequence is odd, the text is being written.
type bulletinHeader struct {
	magic, version uint32
	sequence       atomic.Uint64
	taken          atomic.Int64 // sys.Monotonic, in nanoseconds
	length         atomic.Uint64
	sum            atomic.Uint64 // IEEE CRC-32 of the text
}

const bulletinHeaderBytes = 64 // it has fewer

// Bulletin is a text that the master replaces now and then and children read:
// a memfd that only the mapping of the master can change. Whoever else has the
// descriptor cannot write to it, or map it so that it could.
type Bulletin struct {
	fd     sys.FD
	mem    []byte
	header *bulletinHeader
}

// NewBulletin makes a bulletin for texts of at most so many bytes, with none
// on it yet. Memory is taken as far as it is written to.
func NewBulletin(textBytesMax int) (*Bulletin, error) {
	size := bulletinHeaderBytes + textBytesMax
	fd, err := sys.Memfd("apphost-bulletin", int64(size))
	if err != nil {
		return nil, err
	}
	b, err := mapBulletin(fd, size, true)
	if err != nil {
		_ = fd.Close()
		return nil, err
	}
	b.header.magic, b.header.version = bulletinMagic, bulletinVersion
	if err := fd.Seal(sys.ReadOnlySeals); err != nil { // after the one mapping that writes
		_ = b.Close()
		return nil, err
	}
	return b, nil
}

// AttachBulletin maps a bulletin that was inherited, for reading. It owns fd
// from then on.
func AttachBulletin(fd sys.FD) (*Bulletin, error) {
	if !fd.HasSeals(sys.ReadOnlySeals) {
		return nil, errors.New("attach bulletin: it is not a memfd that is sealed against writers")
	}
	size, err := fd.Size()
	if err != nil || size < int64(bulletinHeaderBytes) {
		return nil, fmt.Errorf("attach bulletin: it has %d bytes", size)
	}
	b, err := mapBulletin(fd, int(size), false)
	if err != nil {
		return nil, err
	}
	if b.header.magic != bulletinMagic || b.header.version != bulletinVersion {
		_ = sys.Unmap(b.mem)
		return nil, errors.New("attach bulletin: it is not a bulletin of this version")
	}
	return b, nil
}

func mapBulletin(fd sys.FD, size int, writable bool) (*Bulletin, error) {
	mem, err := fd.Map(size, writable)
	if err != nil {
		return nil, err
	}
	return &Bulletin{fd: fd, mem: mem, header: sys.At[bulletinHeader](mem)}, nil
}

// FD is the descriptor, to hand to children.
func (b *Bulletin) FD() sys.FD { return b.fd }

// TextBytesMax is how long a text may be.
func (b *Bulletin) TextBytesMax() int { return len(b.mem) - bulletinHeaderBytes }

// Post replaces the text by one that says how things were at taken, a time of
// sys.Monotonic. A text that is too long is an error, and the old one stays.
func (b *Bulletin) Post(text []byte, taken time.Duration) error {
	if len(text) > b.TextBytesMax() {
		return fmt.Errorf("post bulletin: it has %d bytes, %d fit", len(text), b.TextBytesMax())
	}
	h := b.header
	h.sequence.Add(1)
	copy(b.mem[bulletinHeaderBytes:], text)
	h.length.Store(uint64(len(text)))
	h.sum.Store(uint64(crc32.ChecksumIEEE(text)))
	h.taken.Store(int64(taken))
	h.sequence.Add(1)
	return nil
}

// Read returns a copy of the text if it is one of since or later, a time of
// sys.Monotonic. While there is none, or it is being replaced, it reports
// false.
func (b *Bulletin) Read(since time.Duration) (text []byte, ok bool) {
	h := b.header
	before := h.sequence.Load()
	length := h.length.Load()
	if before == 0 || before%2 == 1 || time.Duration(h.taken.Load()) < since || length > uint64(b.TextBytesMax()) {
		return nil, false
	}
	sum := h.sum.Load()
	text = append(text, b.mem[bulletinHeaderBytes:bulletinHeaderBytes+int(length)]...)
	// The sum is for machines whose loads pass each other.
	if h.sequence.Load() != before || uint64(crc32.ChecksumIEEE(text)) != sum {
		return nil, false
	}
	return text, true
}

// Close unmaps the bulletin and closes its descriptor.
func (b *Bulletin) Close() error {
	return errors.Join(sys.Unmap(b.mem), b.fd.Close())
}
