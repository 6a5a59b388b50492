package wasmbin

import (
	"encoding/binary"
	"slices"
)

// LimitTables returns wasm, which Decode accepted as m, with the maxima of
// its tables lowered so that all together never have more than most elements.
// What they do not start with is shared out evenly among those that can grow.
// They must not start with more. wasm itself is not changed; it is returned if
// there is nothing to lower.
func LimitTables(wasm []byte, m *Module, most uint64) []byte {
	growing := uint64(0)
	for _, t := range m.Tables {
		most -= t.Min
		if t.grows() {
			growing++
		}
	}
	if growing == 0 {
		return wasm
	}
	room := most / growing
	// Each section of tables is rewritten: that there is one at most is for
	// the engine to say.
	r := reader{b: wasm, off: headerBytes}
	out, copied := []byte(nil), 0
	for r.off < len(wasm) {
		start := r.off
		id := r.byte()
		size := int(r.u32())
		end := r.off + size
		if id == sectionTable {
			content := limitTables(&reader{b: wasm[:end], off: r.off}, room)
			out = append(out, wasm[copied:start]...)
			out = append(binary.AppendUvarint(append(out, sectionTable), uint64(len(content))), content...)
			copied = end
		}
		r.off = end
	}
	return slices.Concat(out, wasm[copied:])
}

// grows reports whether table.grow can succeed.
func (l Limits) grows() bool { return !l.HasMax || l.Max > l.Min }

// limitTables rewrites the content of a table section so that each table
// grows by room elements at most. An unsigned LEB128 and Go's uvarint are the
// same.
func limitTables(r *reader, room uint64) []byte {
	n := r.u32()
	content := binary.AppendUvarint(nil, uint64(n))
	for ; n > 0 && r.err == nil; n-- {
		elem := r.byte()
		l := r.limits()
		if l.grows() && (!l.HasMax || l.Max-l.Min > room) {
			l.Max, l.HasMax = l.Min+room, true
		}
		content = append(content, elem, 0)
		if l.HasMax {
			content[len(content)-1] = 1
		}
		content = binary.AppendUvarint(content, l.Min)
		if l.HasMax {
			content = binary.AppendUvarint(content, l.Max)
		}
	}
	return content
}
