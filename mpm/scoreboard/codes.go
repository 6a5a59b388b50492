package scoreboard

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// Codes is how many codes the slot counts the failures of.
func (s *Slot) Codes() int { return len(s.codes) }

// Failed counts a failure of a code, from 0.
func (s *Slot) Failed(code int) {
	s.codes[code].Add(1)
	s.process.failures.Add(1) // at last: who sees it sees the other, too
}

// Failures is a number that is another one after each failure of any code.
func (s *Slot) Failures() uint32 { return s.process.failures.Load() }

// FailuresOf is how often the owner says that a code has failed.
func (s *Slot) FailuresOf(code int) uint64 { return s.codes[code].Load() }

// CutName is a code's name as far as a thread shows it.
func CutName(name string) string { return name[:min(len(name), codeBytes)] }

const (
	flagsMagic   = 0x61706266
	flagsVersion = 1
)

// flagsHeader is at the start of the memory, a uint32 for each flag behind
// flagsHeaderBytes.
type flagsHeader struct{ magic, version, count uint32 }

const (
	flagsHeaderBytes = 64 // it has fewer
	flagBytes        = 4
)

// Flags are what the master says of each of a number of codes, yes or no, for
// children to read: a memfd that only the master's own mapping can change. Whoever
// else has the descriptor cannot write to it, or map it so that it could.
type Flags struct {
	fd    sys.FD
	mem   []byte
	flags []*atomic.Uint32
}

// NewFlags makes so many flags, all down.
func NewFlags(count int) (*Flags, error) {
	size := flagsHeaderBytes + count*flagBytes
	fd, err := sys.Memfd("apphost-flags", int64(size))
	if err != nil {
		return nil, err
	}
	f, err := mapFlags(fd, count, true)
	if err != nil {
		_ = fd.Close()
		return nil, err
	}
	*sys.At[flagsHeader](f.mem) = flagsHeader{flagsMagic, flagsVersion, uint32(count)}
	if err := fd.Seal(sys.ReadOnlySeals); err != nil { // after the one mapping that writes
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// AttachFlags maps flags that were inherited, which must be so many, for reading.
// They own fd from then on.
func AttachFlags(fd sys.FD, count int) (*Flags, error) {
	if !fd.HasSeals(sys.ReadOnlySeals) {
		return nil, errors.New("attach flags: they are not in a memfd that is sealed against writers")
	}
	if size, err := fd.Size(); err != nil || size != int64(flagsHeaderBytes+count*flagBytes) {
		return nil, fmt.Errorf("attach flags: they have %d bytes, which is not %d of them", size, count)
	}
	f, err := mapFlags(fd, count, false)
	if err != nil {
		return nil, err
	}
	if *sys.At[flagsHeader](f.mem) != (flagsHeader{flagsMagic, flagsVersion, uint32(count)}) {
		_ = sys.Unmap(f.mem)
		return nil, errors.New("attach flags: they are not of this version")
	}
	return f, nil
}

func mapFlags(fd sys.FD, count int, writable bool) (*Flags, error) {
	mem, err := fd.Map(flagsHeaderBytes+count*flagBytes, writable)
	if err != nil {
		return nil, err
	}
	f := &Flags{fd: fd, mem: mem, flags: make([]*atomic.Uint32, count)}
	for i := range f.flags {
		f.flags[i] = sys.At[atomic.Uint32](mem[flagsHeaderBytes+i*flagBytes:])
	}
	return f, nil
}

// FD is the descriptor, to hand to children.
func (f *Flags) FD() sys.FD { return f.fd }

// Up reports whether a flag is.
func (f *Flags) Up(i int) bool { return f.flags[i].Load() != 0 }

// Set puts a flag up or down. Only who made the flags may.
func (f *Flags) Set(i int, up bool) {
	value := uint32(0)
	if up {
		value = 1
	}
	f.flags[i].Store(value)
}

// Close unmaps the flags and closes their descriptor.
func (f *Flags) Close() error {
	return errors.Join(sys.Unmap(f.mem), f.fd.Close())
}
