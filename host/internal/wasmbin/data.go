package wasmbin

import (
	"encoding/binary"
	"math"
	"slices"
)

const (
	// gapBytesMax is the longest run of zeros between two segments that is cheaper in
	// a module than the end of one segment and the beginning of another: the engine
	// keeps some 80 bytes for each, and 24 in each instance.
	gapBytesMax = 64
	// slackBytes is how much a small section may grow by gaps; another one, to twice
	// its size.
	slackBytes = 4 << 10
	// mergedMax bounds how many segments are compared with each other.
	mergedMax = 1024
)

// segment is data that is put into memory when an instance is made.
type segment struct {
	at   uint64
	data []byte
}

func (s *segment) end() uint64 { return s.at + uint64(len(s.data)) }

// MergeData returns wasm, which Decode accepted, with fewer and larger segments of
// data, which make the same memory: Go's linker writes one for each run of bytes that
// are not zero, tens of thousands. wasm itself is not changed; it is returned if there
// is nothing to gain, or if code might speak of segments by their numbers.
func MergeData(wasm []byte) []byte {
	r := reader{b: wasm, off: headerBytes}
	out := wasm
	for r.off < len(wasm) && r.err == nil {
		start := r.off
		id := r.byte()
		size := int(r.u32())
		end := r.off + size
		if r.err != nil || end > len(wasm) || id == sectionDataCount {
			return wasm
		}
		if id == sectionData {
			content := mergeData(&reader{b: wasm[:end], off: r.off})
			if content == nil {
				return wasm
			}
			head := binary.AppendUvarint([]byte{sectionData}, uint64(len(content)))
			out = slices.Concat(wasm[:start], head, content, wasm[end:])
		}
		r.off = end
	}
	return out
}

// mergeData is the content of a section of data with fewer segments, or nil.
func mergeData(r *reader) []byte {
	gaps := len(r.b) - r.off + slackBytes // so many bytes may be added
	count := r.u32()
	var merged []segment
	ceiling := uint64(0) // up to where a gap behind the last one lies over none before
	for n := count; n > 0; n-- {
		next, ok := r.segment()
		if !ok {
			return nil
		}
		if last := len(merged) - 1; last >= 0 && merged[last].reaches(&next, ceiling) {
			gap := int(next.at - merged[last].end())
			if gaps -= gap; gaps < 0 {
				return nil
			}
			merged[last].data = append(append(merged[last].data, make([]byte, gap)...), next.data...)
			continue
		}
		if len(merged) == mergedMax {
			return nil
		}
		ceiling = ceilingOf(merged, next.end())
		merged = append(merged, segment{next.at, slices.Clone(next.data)})
	}
	if r.off != len(r.b) || len(merged) == int(count) {
		return nil
	}
	content := binary.AppendUvarint(nil, uint64(len(merged)))
	for _, s := range merged {
		content = appendConst(append(content, activeSegment, opI32Const), int32(uint32(s.at)))
		content = append(binary.AppendUvarint(append(content, opEnd), uint64(len(s.data))), s.data...)
	}
	return content
}

// reaches reports whether zeros between s and next, which comes after it, change
// nothing and are few.
func (s *segment) reaches(next *segment, ceiling uint64) bool {
	return next.at >= s.end() && next.at-s.end() <= gapBytesMax && next.at <= ceiling
}

// ceilingOf is the lowest address from end on that one of the segments has.
func ceilingOf(segments []segment, end uint64) uint64 {
	ceiling := uint64(math.MaxUint64)
	for i := range segments {
		if s := &segments[i]; s.end() > end {
			ceiling = min(ceiling, max(s.at, end))
		}
	}
	return ceiling
}

// activeSegment marks one for the first memory, whose place is an expression.
const activeSegment = 0

// segment reads one whose place is a plain number, and reports whether it is such.
func (r *reader) segment() (segment, bool) {
	if r.byte() != activeSegment || r.byte() != opI32Const {
		return segment{}, false
	}
	at := r.s32()
	if r.byte() != opEnd {
		return segment{}, false
	}
	data := r.take(r.u32())
	return segment{uint64(uint32(at)), data}, r.err == nil
}

// s32 reads signed LEB128.
func (r *reader) s32() int32 {
	v := int64(0)
	for shift := 0; shift < 35; shift += 7 {
		c := r.byte()
		v |= int64(c&0x7f) << shift
		if c&0x80 == 0 {
			const sign = 0x40
			if c&sign != 0 {
				v |= -1 << (shift + 7)
			}
			if v != int64(int32(v)) {
				r.fail("number too large")
			}
			return int32(v)
		}
	}
	r.fail("number too long")
	return 0
}

// appendConst writes signed LEB128.
func appendConst(out []byte, v int32) []byte {
	const sign = 0x40
	for {
		c := byte(v) & 0x7f
		v >>= 7
		if v == 0 && c&sign == 0 || v == -1 && c&sign != 0 {
			return append(out, c)
		}
		out = append(out, c|0x80)
	}
}
