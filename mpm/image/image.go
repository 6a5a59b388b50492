// Package image is the generation image: everything a generation runs from,
// as named byte sections in one sealed memfd. The candidate writes it, the
// master keeps it, and every child of the generation maps it, so a child that
// is spawned an hour later runs exactly the bytes that were validated.
//
// The layout, integers little-endian:
//
//	0   8 bytes  "apphost\x01", the last byte being the layout's version
//	8   4 bytes  number of sections
//	12  per section: 2 bytes name length, name, 8 bytes offset, 8 bytes length
//	…   the sections' bytes, at the offsets given from the start of the file
//
// A reader trusts nothing: every offset is checked against the file's size,
// which the seals fix for good.
package image

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apphost/apphost/mpm/internal/sys"
)

const magic = "apphost\x01"

// Limits of an image.
const (
	SectionsMax = 4096
	NameBytes   = 255
)

// Section is one named part of an image.
type Section struct {
	Name string
	Data []byte
}

// Encode lays out sections as an image.
func Encode(sections []Section) ([]byte, error) {
	if len(sections) > SectionsMax {
		return nil, fmt.Errorf("encode image: %d sections, at most %d fit", len(sections), SectionsMax)
	}
	header := len(magic) + 4
	total := 0
	for _, s := range sections {
		if s.Name == "" || len(s.Name) > NameBytes {
			return nil, fmt.Errorf("encode image: section name %q must have 1 to %d bytes", s.Name, NameBytes)
		}
		header += 2 + len(s.Name) + 16
		total += len(s.Data)
	}
	out := make([]byte, 0, header+total)
	out = append(out, magic...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(sections)))
	offset := header
	for _, s := range sections {
		out = binary.LittleEndian.AppendUint16(out, uint16(len(s.Name)))
		out = append(out, s.Name...)
		out = binary.LittleEndian.AppendUint64(out, uint64(offset))
		out = binary.LittleEndian.AppendUint64(out, uint64(len(s.Data)))
		offset += len(s.Data)
	}
	for _, s := range sections {
		out = append(out, s.Data...)
	}
	return out, nil
}

// Decode reads the sections of an image. Their data are parts of raw.
func Decode(raw []byte) ([]Section, error) {
	r := reader{raw: raw}
	if string(r.bytes(uint64(len(magic)))) != magic {
		return nil, errors.New("decode image: it does not start as an image of this version")
	}
	count := r.uint(4)
	if count > SectionsMax {
		return nil, fmt.Errorf("decode image: %d sections, at most %d are allowed", count, SectionsMax)
	}
	sections := make([]Section, 0, count)
	for range count {
		name := string(r.bytes(r.uint(2)))
		offset, length := r.uint(8), r.uint(8)
		if r.failed || offset > uint64(len(raw)) || length > uint64(len(raw))-offset {
			return nil, errors.New("decode image: a section lies outside the file")
		}
		data := raw[offset : offset+length : offset+length]
		sections = append(sections, Section{Name: name, Data: data})
	}
	if r.failed {
		return nil, errors.New("decode image: the header is cut short")
	}
	return sections, nil
}

type reader struct {
	raw    []byte
	at     uint64
	failed bool
}

func (r *reader) bytes(n uint64) []byte {
	if r.failed || n > uint64(len(r.raw))-r.at {
		r.failed = true
		return nil
	}
	r.at += n
	return r.raw[r.at-n : r.at]
}

func (r *reader) uint(size uint64) uint64 {
	var v uint64
	for i, b := range r.bytes(size) {
		v |= uint64(b) << (8 * i)
	}
	return v
}

// Image is a mapped, sealed image. It is read-only and may be used by many
// goroutines.
type Image struct {
	fd       sys.FD
	mem      []byte
	sections []Section
	held     bool // and not mapped
}

// New makes an empty memfd for a candidate to fill.
func New() (sys.FD, error) {
	return sys.Memfd("apphost-image", 0)
}

// Fill writes sections into an empty memfd and seals it.
func Fill(fd sys.FD, sections []Section) error {
	raw, err := Encode(sections)
	if err != nil {
		return err
	}
	for len(raw) > 0 {
		n, err := fd.Write(raw)
		if err != nil {
			return fmt.Errorf("write image: %w", err)
		}
		raw = raw[n:]
	}
	return fd.Seal(sys.AllSeals)
}

// Open maps a sealed image. The image owns fd from then on.
func Open(fd sys.FD) (*Image, error) {
	if !fd.HasSeals(sys.AllSeals) {
		return nil, errors.New("open image: it is not a sealed memfd")
	}
	size, err := fd.Size()
	if err != nil {
		return nil, fmt.Errorf("open image: %w", err)
	}
	if size == 0 {
		return nil, errors.New("open image: it is empty")
	}
	mem, err := fd.Map(int(size), false)
	if err != nil {
		return nil, fmt.Errorf("open image: %w", err)
	}
	sections, err := Decode(mem)
	if err != nil {
		_ = sys.Unmap(mem)
		return nil, err
	}
	return &Image{fd: fd, mem: mem, sections: sections}, nil
}

// Hold keeps an image without reading it: one of another build, which that
// may want back. It has no sections, and owns fd from then on.
func Hold(fd sys.FD) *Image { return &Image{fd: fd, held: true} }

// FD is the image's descriptor, to hand to a child.
func (i *Image) FD() sys.FD { return i.fd }

// Section returns the bytes of a section, which must not be written to.
func (i *Image) Section(name string) ([]byte, bool) {
	for _, s := range i.sections {
		if s.Name == name {
			return s.Data, true
		}
	}
	return nil, false
}

// Close unmaps the image and closes its descriptor. What Section returned
// must not be used afterwards. Closing again does nothing.
func (i *Image) Close() error {
	if i.held {
		i.held = false
		return i.fd.Close()
	}
	if i.mem == nil {
		return nil
	}
	mem := i.mem
	i.mem, i.sections = nil, nil
	return errors.Join(sys.Unmap(mem), i.fd.Close())
}
