package wasmbin

// The opcodes that are told apart (core specification 2.0, section 5.4). What
// is not listed between them has no immediate operand.
const (
	opBlock              = 0x02
	opIf                 = 0x04
	opEnd                = 0x0b
	opBr                 = 0x0c
	opBrIf               = 0x0d
	opBrTable            = 0x0e
	opCall               = 0x10
	opCallIndirect       = 0x11
	opReturnCall         = 0x12
	opReturnCallIndirect = 0x13
	opSelectTyped        = 0x1c
	opLocalGet           = 0x20
	opGlobalSet          = 0x24
	opTableGet           = 0x25
	opTableSet           = 0x26
	opFirstLoad          = 0x28
	opLastStore          = 0x3e
	opMemorySize         = 0x3f
	opMemoryGrow         = 0x40
	opI32Const           = 0x41
	opI64Const           = 0x42
	opF32Const           = 0x43
	opF64Const           = 0x44
	opLastNumeric        = 0xc4
	opRefNull            = 0xd0
	opRefIsNull          = 0xd1
	opRefFunc            = 0xd2
	opMisc               = 0xfc
	opVector             = 0xfd
)

// KeepsTables reports whether the code of wasm, which Decode accepted, leaves
// tables and segments as they are: then memory and globals are all that its runs
// can change. Code that is not understood does not count as such.
func KeepsTables(wasm []byte) bool {
	r := reader{b: wasm, off: headerBytes}
	for r.off < len(wasm) && r.err == nil {
		id := r.byte()
		size := int(r.u32())
		end := r.off + size
		if r.err != nil || end > len(wasm) {
			return false
		}
		if id == sectionCode {
			code := reader{b: wasm[:end], off: r.off}
			keeps := true
			code.vec(func() { keeps = keeps && code.function() })
			if !keeps || code.err != nil {
				return false
			}
		}
		r.off = end
	}
	return r.err == nil
}

// function walks over a function's body and reports whether it keeps tables and
// segments.
func (r *reader) function() bool {
	size := int(r.u32())
	end := r.off + size
	if r.err != nil || end > len(r.b) {
		return false
	}
	r.vec(func() { // the locals: how many, of which type
		r.u32()
		r.byte()
	})
	for r.off < end && r.err == nil {
		if !r.instruction() {
			return false
		}
	}
	return r.err == nil && r.off == end
}

// instruction walks over one instruction.
func (r *reader) instruction() bool {
	op := r.byte()
	switch {
	case op >= opBlock && op <= opIf:
		r.skipLEB() // the type of the block
	case op == opBr, op == opBrIf, op == opCall, op == opReturnCall, op == opRefFunc, op == opTableGet,
		op >= opLocalGet && op <= opGlobalSet:
		r.skipLEB()
	case op == opBrTable:
		r.vec(r.skipLEB)
		r.skipLEB()
	case op == opCallIndirect, op == opReturnCallIndirect:
		r.skipLEB()
		r.skipLEB()
	case op == opSelectTyped:
		r.vec(func() { r.byte() })
	case op == opTableSet:
		return false
	case op >= opFirstLoad && op <= opLastStore:
		r.memoryArgument()
	case op == opMemorySize, op == opMemoryGrow, op == opRefNull:
		r.byte()
	case op == opI32Const, op == opI64Const:
		r.skipLEB()
	case op == opF32Const:
		r.take(4)
	case op == opF64Const:
		r.take(8)
	case op == opMisc:
		return r.misc()
	case op == opVector:
		return r.vector()
	case op > opLastNumeric && op != opRefIsNull:
		return false
	}
	return r.err == nil
}

// misc walks over what follows opMisc.
func (r *reader) misc() bool {
	const (
		lastConversion = 7
		memoryInit     = 8
		memoryCopy     = 10
		memoryFill     = 11
		tableSize      = 16
	)
	switch op := r.u32(); op {
	case memoryInit:
		r.skipLEB()
		r.byte()
	case memoryCopy:
		r.take(2)
	case memoryFill:
		r.byte()
	case tableSize:
		r.skipLEB()
	default:
		return op <= lastConversion && r.err == nil
	}
	return r.err == nil
}

// vector walks over what follows opVector.
func (r *reader) vector() bool {
	const (
		lastLoadStore = 11
		constant      = 12
		shuffle       = 13
		firstLane     = 21
		lastLane      = 34
		firstLoadLane = 84
		lastLoadLane  = 91
		firstLoadZero = 92
		lastLoadZero  = 93
		last          = 255
	)
	switch op := r.u32(); {
	case op <= lastLoadStore, op == firstLoadZero, op == lastLoadZero:
		r.memoryArgument()
	case op == constant, op == shuffle:
		r.take(16)
	case op >= firstLane && op <= lastLane:
		r.byte()
	case op >= firstLoadLane && op <= lastLoadLane:
		r.memoryArgument()
		r.byte()
	default:
		return op <= last && r.err == nil
	}
	return r.err == nil
}

func (r *reader) memoryArgument() {
	r.skipLEB()
	r.skipLEB()
}

// skipLEB walks over a number, signed or not.
func (r *reader) skipLEB() {
	for range 10 {
		if r.byte()&0x80 == 0 {
			return
		}
	}
	r.fail("number too long")
}

// constant walks over a constant expression.
func (r *reader) constant() {
	for r.err == nil {
		at := r.off
		if op := r.byte(); op == opEnd {
			return
		}
		r.off = at
		if !r.instruction() {
			r.fail("not a constant expression")
		}
	}
}
