package wasmbin

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// ExportGlobals returns wasm, which Decode accepted as m, with its mutable globals
// exported too, and the names of those exports, in the order of the globals. wasm
// itself is not changed; it is returned if there is nothing to add, and so it is,
// without names, if it has no good section of exports.
func ExportGlobals(wasm []byte, m *Module) (out []byte, names []string) {
	prefix := "apphost.global."
	for slices.ContainsFunc(m.Exports, func(e Export) bool { return strings.HasPrefix(e.Name, prefix) }) {
		prefix += "."
	}
	var added []byte
	for _, g := range m.Globals {
		if !g.Mutable {
			continue
		}
		name := fmt.Sprint(prefix, g.Index)
		names = append(names, name)
		added = append(binary.AppendUvarint(added, uint64(len(name))), name...)
		added = append(added, byte(KindGlobal))
		added = binary.AppendUvarint(added, uint64(g.Index))
	}
	if len(names) == 0 {
		return wasm, nil
	}
	r := reader{b: wasm, off: headerBytes}
	for r.off < len(wasm) {
		start := r.off
		id := r.byte()
		size := int(r.u32())
		end := r.off + size
		if id == sectionExport {
			section := reader{b: wasm[:end], off: r.off}
			count := section.u32()
			entries := section.off
			for n := count; n > 0 && section.err == nil; n-- {
				section.name()
				section.byte()
				section.u32()
			}
			if section.err != nil || section.off != end {
				return wasm, nil // the engine refuses it
			}
			content := binary.AppendUvarint(nil, uint64(count)+uint64(len(names)))
			content = append(append(content, wasm[entries:end]...), added...)
			head := binary.AppendUvarint([]byte{sectionExport}, uint64(len(content)))
			return slices.Concat(wasm[:start], head, content, wasm[end:]), names
		}
		r.off = end
	}
	return wasm, nil
}
