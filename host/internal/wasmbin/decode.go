package wasmbin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrComponent means that the bytes are a component: they have the magic
// number, but layer 1 in the version field.
var ErrComponent = errors.New("a component, not a core module")

// The sections that are read; the others are skipped.
const (
	sectionType      = 1
	sectionImport    = 2
	sectionFunction  = 3
	sectionTable     = 4
	sectionMemory    = 5
	sectionGlobal    = 6
	sectionExport    = 7
	sectionCode      = 10
	sectionData      = 11
	sectionDataCount = 12
)

const headerBytes = 8

// Decode reads the declarations of a core module.
//
// # Errors
//
//   - the bytes do not start with the magic number, or have an unknown version
//   - [ErrComponent]
//   - a section or what it holds is cut short or malformed; the error names
//     the offset
func Decode(wasm []byte) (*Module, error) {
	if err := checkHeader(wasm); err != nil {
		return nil, err
	}
	d := decoder{m: &Module{}}
	r := reader{b: wasm, off: headerBytes}
	for r.off < len(wasm) {
		start := r.off
		id := r.byte()
		size := int(r.u32())
		if r.err == nil && size > len(wasm)-r.off {
			return nil, fmt.Errorf("truncated: section %d at offset %d has %d bytes, of which %d are there",
				id, start, size, len(wasm)-r.off)
		}
		if r.err != nil {
			return nil, r.err
		}
		section := reader{b: wasm[:r.off+size], off: r.off}
		d.section(id, &section)
		if section.err != nil {
			return nil, fmt.Errorf("section %d: %w", id, section.err)
		}
		r.off += size
	}
	if err := d.resolve(); err != nil {
		return nil, err
	}
	return d.m, nil
}

func checkHeader(wasm []byte) error {
	const magic = "\x00asm"
	if !bytes.HasPrefix(wasm, []byte(magic)) {
		return errors.New(`not a WebAssembly module: it does not start with \0asm`)
	}
	if len(wasm) < headerBytes {
		return fmt.Errorf("truncated: the header has 8 bytes, of which %d are there", len(wasm))
	}
	version := binary.LittleEndian.Uint16(wasm[4:])
	switch layer := binary.LittleEndian.Uint16(wasm[6:]); {
	case layer == 1:
		return ErrComponent
	case layer != 0 || version != 1:
		return fmt.Errorf("not a WebAssembly module of version 1, but of version %d, layer %d", version, layer)
	}
	return nil
}

// decoder collects sections. Functions are known by index only until resolve.
type decoder struct {
	m     *Module
	types []FuncType
	funcs []uint32 // type index of each function, imported ones first
	index []uint32 // for each export of m, what it exports

	importedGlobals uint32
}

func (d *decoder) section(id byte, r *reader) {
	switch id {
	case sectionType:
		r.vec(func() { d.types = append(d.types, r.funcType()) })
	case sectionImport:
		r.vec(func() { d.importEntry(r) })
	case sectionFunction:
		r.vec(func() { d.funcs = append(d.funcs, r.u32()) })
	case sectionTable:
		r.vec(func() {
			r.byte() // the type of its elements
			d.m.Tables = append(d.m.Tables, r.limits())
		})
	case sectionMemory:
		r.vec(func() { d.memory(r.limits()) })
	case sectionGlobal:
		r.vec(func() {
			g := Global{Index: d.importedGlobals + uint32(len(d.m.Globals)), Type: r.byte(), Mutable: r.byte() == 1}
			r.constant()
			d.m.Globals = append(d.m.Globals, g)
		})
	case sectionExport:
		r.vec(func() {
			d.m.Exports = append(d.m.Exports, Export{Name: r.name(), Kind: Kind(r.byte())})
			d.index = append(d.index, r.u32())
		})
	}
}

func (d *decoder) memory(l Limits) {
	if d.m.Memory == nil {
		d.m.Memory = &l
	}
}

func (d *decoder) importEntry(r *reader) {
	imp := Import{Module: r.name(), Name: r.name(), Kind: Kind(r.byte())}
	switch imp.Kind {
	case KindFunc:
		index := r.u32()
		d.funcs = append(d.funcs, index)
		if int(index) < len(d.types) {
			imp.Type = d.types[index]
		} else {
			r.fail("unknown type %d", index)
		}
	case KindTable:
		r.byte()
		r.limits()
	case KindMemory:
		d.memory(r.limits())
	case KindGlobal:
		r.byte()
		r.byte()
		d.importedGlobals++
	case KindTag:
		r.byte()
		r.u32()
	default:
		r.fail("unknown kind of import %d", byte(imp.Kind))
	}
	d.m.Imports = append(d.m.Imports, imp)
}

// resolve fills in the signatures of exported functions.
func (d *decoder) resolve() error {
	for i := range d.m.Exports {
		exp := &d.m.Exports[i]
		if exp.Kind != KindFunc {
			continue
		}
		f := d.index[i]
		if uint64(f) >= uint64(len(d.funcs)) || uint64(d.funcs[f]) >= uint64(len(d.types)) {
			return fmt.Errorf("export %q: unknown function %d", exp.Name, f)
		}
		exp.Type = d.types[d.funcs[f]]
	}
	return nil
}
