package wasmbin

import (
	"encoding/binary"
	"slices"
)

// LimitTables returns wasm, which Decode accepts, with the maximum of each of
// its own tables lowered to most elements. A table that starts larger is left
// alone. wasm itself is not changed; it is returned if there is nothing to
// lower.
func LimitTables(wasm []byte, most uint64) []byte {
	r := reader{b: wasm, off: headerBytes}
	for r.off < len(wasm) {
		start := r.off
		id := r.byte()
		size := int(r.u32())
		if r.err != nil || id != sectionTable {
			r.off += size
			continue
		}
		content, lowered := limitTables(&reader{b: wasm[:r.off+size], off: r.off}, most)
		if !lowered {
			return wasm
		}
		section := binary.AppendUvarint([]byte{sectionTable}, uint64(len(content)))
		return slices.Concat(wasm[:start], section, content, wasm[r.off+size:])
	}
	return wasm
}

// limitTables rewrites the content of a table section and reports whether it
// changed anything. An unsigned LEB128 and Go's uvarint are the same.
func limitTables(r *reader, most uint64) (content []byte, lowered bool) {
	n := r.u32()
	content = binary.AppendUvarint(nil, uint64(n))
	for ; n > 0 && r.err == nil; n-- {
		elem := r.byte()
		l := r.limits()
		if (!l.HasMax || l.Max > most) && l.Min <= most {
			l.Max, l.HasMax, lowered = most, true, true
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
	return content, lowered
}
