package wasmbin

import (
	"fmt"
	"unicode/utf8"
)

// reader walks bytes. After the first failure err is set and everything reads
// as zero, so that callers check once.
type reader struct {
	b   []byte
	off int
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("offset %d: %s", r.off, fmt.Sprintf(format, args...))
	}
}

func (r *reader) byte() byte {
	if r.err != nil || r.off >= len(r.b) {
		r.fail("truncated")
		return 0
	}
	c := r.b[r.off]
	r.off++
	return c
}

// u64 reads LEB128.
func (r *reader) u64() uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		c := r.byte()
		v |= uint64(c&0x7f) << shift
		if c&0x80 == 0 {
			return v
		}
	}
	r.fail("number too long")
	return 0
}

func (r *reader) u32() uint32 {
	v := r.u64()
	if v > 1<<32-1 {
		r.fail("number too large")
		return 0
	}
	return uint32(v)
}

func (r *reader) take(n uint32) []byte {
	if r.err != nil || uint64(n) > uint64(len(r.b)-r.off) {
		r.fail("truncated")
		return nil
	}
	p := r.b[r.off : r.off+int(n)]
	r.off += int(n)
	return p
}

func (r *reader) name() string {
	p := r.take(r.u32())
	if !utf8.Valid(p) {
		r.fail("a name is not UTF-8")
	}
	return string(p)
}

// vec calls item as often as the count says, until the first failure. Each
// item takes at least one byte, so a false count ends with the section.
func (r *reader) vec(item func()) {
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		item()
	}
}

func (r *reader) funcType() FuncType {
	const form = 0x60
	if c := r.byte(); c != form && r.err == nil {
		r.fail("unknown form of type %#x", c)
	}
	return FuncType{Params: string(r.take(r.u32())), Results: string(r.take(r.u32()))}
}

func (r *reader) limits() Limits {
	const memory32PagesMax = 1 << 16
	flags := r.byte()
	l := Limits{Min: r.u64(), Max: memory32PagesMax}
	if flags&1 != 0 {
		l.Max, l.HasMax = r.u64(), true
	}
	return l
}
