package wasmbin

import (
	"encoding/binary"
	"slices"
)

// Skeleton returns wasm, which the engine accepted, with a trap in the place of
// each function's body. All else is as it was, so whoever has the machine code needs
// no more of the module. It is nil if there is no function.
func Skeleton(wasm []byte) []byte {
	// The size, no locals, unreachable, end: this is valid for any type.
	body := []byte{3, 0, 0, opEnd}
	r := reader{b: wasm, off: headerBytes}
	for r.off < len(wasm) && r.err == nil {
		start := r.off
		id := r.byte()
		size := r.u32()
		content := reader{b: wasm, off: r.off}
		r.take(size)
		if id != sectionCode || r.err != nil {
			continue
		}
		count := content.u32()
		if count == 0 || uint64(count) > uint64(size) {
			return nil
		}
		bodies := append(binary.AppendUvarint(nil, uint64(count)), slices.Repeat(body, int(count))...)
		head := binary.AppendUvarint([]byte{sectionCode}, uint64(len(bodies)))
		return slices.Concat(wasm[:start], head, bodies, wasm[r.off:])
	}
	return nil
}
