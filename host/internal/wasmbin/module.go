package wasmbin

import "strings"

// Module is what a binary declares.
type Module struct {
	Imports []Import
	Exports []Export
	// Memory is the module's memory, its own or an imported one; nil if it
	// has none.
	Memory *Limits
	// Tables are the module's own tables, their limits in elements.
	Tables []Limits
	// Globals are the module's own globals.
	Globals []Global
}

// Global is a variable outside the memory.
type Global struct {
	Index   uint32 // imported ones are counted first
	Type    byte   // a value type
	Mutable bool
}

// Number reports whether the global holds a number of 64 bits or fewer.
func (g Global) Number() bool { return g.Type >= 0x7c && g.Type <= 0x7f }

// Import is one thing the module needs.
type Import struct {
	Module, Name string
	Kind         Kind
	Type         FuncType // of a KindFunc
}

// Export is one thing the module offers.
type Export struct {
	Name string
	Kind Kind
	Type FuncType // of a KindFunc
}

// Kind says what an import or export is. The numbers are those of the binary.
type Kind byte

// The kinds.
const (
	KindFunc   Kind = 0
	KindTable  Kind = 1
	KindMemory Kind = 2
	KindGlobal Kind = 3
	KindTag    Kind = 4
)

// String gives the kind as the specification spells it.
func (k Kind) String() string {
	names := [...]string{"func", "table", "memory", "global", "tag"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// Limits is the size of a memory, in pages of 64 KiB, or of a table.
type Limits struct {
	Min uint64
	Max uint64 // of a memory: 65536 if the module declares none
	// HasMax tells a declared maximum from none.
	HasMax bool
}

// FuncType is a function's signature, each value type one byte as in the
// binary.
type FuncType struct {
	Params, Results string
}

// The value types.
const (
	I32 = "\x7f"
	I64 = "\x7e"
)

// String renders the signature, such as "(i32, i32) -> i64".
func (t FuncType) String() string {
	return "(" + typeNames(t.Params) + ") -> " + resultNames(t.Results)
}

func resultNames(types string) string {
	if len(types) == 1 {
		return typeNames(types)
	}
	return "(" + typeNames(types) + ")"
}

func typeNames(types string) string {
	var b strings.Builder
	for i := range len(types) {
		if i > 0 {
			b.WriteString(", ")
		}
		switch types[i] {
		case 0x7f:
			b.WriteString("i32")
		case 0x7e:
			b.WriteString("i64")
		case 0x7d:
			b.WriteString("f32")
		case 0x7c:
			b.WriteString("f64")
		case 0x7b:
			b.WriteString("v128")
		case 0x70:
			b.WriteString("funcref")
		case 0x6f:
			b.WriteString("externref")
		default:
			b.WriteString("unknown")
		}
	}
	return b.String()
}
