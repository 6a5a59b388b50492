package wasmbin

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// GlobalExports are the names under which ExportGlobals exports the mutable globals,
// in their order.
func (m *Module) GlobalExports() []string {
	prefix := "apphost.global."
	for slices.ContainsFunc(m.Exports, func(e Export) bool { return strings.HasPrefix(e.Name, prefix) }) {
		prefix += "."
	}
	var names []string
	for _, g := range m.Globals {
		if g.Mutable {
			names = append(names, fmt.Sprint(prefix, g.Index))
		}
	}
	return names
}

// ExportGlobals returns wasm, which Decode accepted as m, with its mutable globals
// exported too. wasm itself is not changed; it is returned if there is nothing to add,
// or no good section of exports.
func ExportGlobals(wasm []byte, m *Module) []byte {
	names := m.GlobalExports()
	if len(names) == 0 {
		return wasm
	}
	var added []byte
	next := 0
	for _, g := range m.Globals {
		if !g.Mutable {
			continue
		}
		name := names[next]
		next++
		added = append(binary.AppendUvarint(added, uint64(len(name))), name...)
		added = append(added, byte(KindGlobal))
		added = binary.AppendUvarint(added, uint64(g.Index))
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
				return wasm // the engine refuses it
			}
			content := binary.AppendUvarint(nil, uint64(count)+uint64(len(names)))
			content = append(append(content, wasm[entries:end]...), added...)
			head := binary.AppendUvarint([]byte{sectionExport}, uint64(len(content)))
			return slices.Concat(wasm[:start], head, content, wasm[end:])
		}
		r.off = end
	}
	return wasm
}
