package wasmbin

import (
	"encoding/binary"
	"slices"
)

// MoveImport returns wasm, which Decode accepted, with its imports of one function
// made imports of the same name from the module called to. wasm itself is not
// changed; it is returned if it imports no such thing.
func MoveImport(wasm []byte, module, name, to string) []byte {
	r := reader{b: wasm, off: headerBytes}
	var out []byte
	copied := 0
	for r.off < len(wasm) {
		start := r.off
		id := r.byte()
		size := int(r.u32())
		end := r.off + size
		if id == sectionImport {
			content := moveImport(&reader{b: wasm[:end], off: r.off}, module, name, to)
			out = append(out, wasm[copied:start]...)
			out = append(binary.AppendUvarint(append(out, sectionImport), uint64(len(content))), content...)
			copied = end
		}
		r.off = end
	}
	return slices.Concat(out, wasm[copied:])
}

// moveImport rewrites the content of a section of imports.
func moveImport(r *reader, module, name, to string) []byte {
	n := r.u32()
	content := binary.AppendUvarint(nil, uint64(n))
	for ; n > 0 && r.err == nil; n-- {
		from, what, rest := r.name(), r.name(), r.off
		r.importType()
		if from == module && what == name {
			from = to
		}
		content = appendName(appendName(content, from), what)
		content = append(content, r.b[rest:r.off]...)
	}
	return append(content, r.b[r.off:]...) // nothing, or the engine refuses it
}

func appendName(b []byte, name string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(name))), name...)
}

// importType steps over what is imported.
func (r *reader) importType() {
	switch Kind(r.byte()) {
	case KindFunc:
		r.u32()
	case KindTable:
		r.byte()
		r.limits()
	case KindMemory:
		r.limits()
	case KindGlobal:
		r.byte()
		r.byte()
	case KindTag:
		r.byte()
		r.u32()
	default:
		r.fail("unknown kind of import")
	}
}

// Loop is a module that exports a function, () → i32, of the name of one that it
// imports, and that calls this again for as long as the result is again, from 0 to
// 63.
func Loop(module, name string, again byte) []byte {
	const i32, function, first, second = 0x7f, byte(KindFunc), 0, 1
	body := []byte{
		1, 1, i32, // a local
		0x03, 0x40, // loop
		0x10, first, // call
		0x22, 0, // local.tee
		0x41, again, // i32.const
		0x46,    // i32.eq
		0x0d, 0, // br_if
		0x0b,    // end
		0x20, 0, // local.get
		0x0b, // end
	}
	out := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range []struct {
		id      byte
		content []byte
	}{
		{sectionType, []byte{0x60, 0, 1, i32}},
		{sectionImport, append(appendName(appendName(nil, module), name), function, 0)},
		{sectionFunction, []byte{0}},
		{sectionExport, append(appendName(nil, name), function, second)},
		{sectionCode, append([]byte{byte(len(body))}, body...)},
	} {
		content := append([]byte{1}, s.content...) // one entry
		out = append(binary.AppendUvarint(append(out, s.id), uint64(len(content))), content...)
	}
	return out
}
