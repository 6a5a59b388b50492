package web

import (
	"bytes"
	"fmt"

	"github.com/apphost/apphost/host/exchange"
)

// blockBytesMax is the most that names and values a handler sets in one
// header block may take together; it bounds what a guest can make us hold.
const blockBytesMax = 256 << 10

// field is one header line.
type field struct{ name, value []byte }

func (f *field) size() int { return len(f.name) + len(f.value) + fieldBytes }

// block is a header block: fields in order, and the memory of those that
// were set here.
type block struct {
	fields []field
	arena  []byte // also has what was replaced since; compact drops it
	live   int    // bytes of names and values in fields
}

// fieldBytes is what a field counts for besides its bytes.
const fieldBytes = 32

// fewFields is up to how many it is quicker to compare each name with each.
const fewFields = 32

func (b *block) reset() {
	clear(b.fields)
	b.fields = b.fields[:0]
	b.arena = reuse(b.arena)
	b.live = 0
}

// Names calls yield for each name once, in order of first appearance.
func (b *block) Names(yield func(name []byte) bool) {
	if len(b.fields) > fewFields {
		b.manyNames(yield)
		return
	}
	for i := range b.fields {
		if b.index(b.fields[i].name) == i && !yield(b.fields[i].name) {
			return
		}
	}
}

// manyNames is Names in a time that does not grow with the square of their
// number, of which a guest decides.
func (b *block) manyNames(yield func(name []byte) bool) {
	seen := make(map[string]struct{}, len(b.fields))
	for i := range b.fields {
		name := b.fields[i].name
		key := string(bytes.ToLower(name))
		if _, twice := seen[key]; !twice && !yield(name) {
			return
		}
		seen[key] = struct{}{}
	}
}

// Values calls yield for each value of name, in order.
func (b *block) Values(name []byte, yield func(value []byte) bool) {
	for i := range b.fields {
		if sameName(b.fields[i].name, name) && !yield(b.fields[i].value) {
			return
		}
	}
}

// index is where name first appears, or -1.
func (b *block) index(name []byte) int {
	for i := range b.fields {
		if sameName(b.fields[i].name, name) {
			return i
		}
	}
	return -1
}

func (b *block) set(name, value []byte) error {
	i, freed := b.index(name), 0
	if i >= 0 {
		freed = b.fields[i].size()
	}
	value, err := b.check(name, value, freed)
	if err != nil {
		return err
	}
	if i < 0 {
		return b.append(name, value)
	}
	b.live += len(value) - len(b.fields[i].value)
	b.fields[i].value = b.keep(value)
	b.cutFrom(i+1, name)
	return nil
}

func (b *block) add(name, value []byte) error {
	value, err := b.check(name, value, 0)
	if err != nil {
		return err
	}
	return b.append(name, value)
}

func (b *block) append(name, value []byte) error {
	b.take(b.keep(name), b.keep(value))
	return nil
}

// take adds a field whose memory is not ours.
func (b *block) take(name, value []byte) {
	b.fields = append(b.fields, field{name, value})
	b.live += len(name) + len(value)
}

func (b *block) remove(name []byte) { b.cutFrom(0, name) }

// cutFrom removes the fields of that name from the i-th on.
func (b *block) cutFrom(i int, name []byte) {
	kept := b.fields[:i]
	for _, f := range b.fields[i:] {
		if sameName(f.name, name) {
			b.live -= len(f.name) + len(f.value)
		} else {
			kept = append(kept, f)
		}
	}
	clear(b.fields[len(kept):])
	b.fields = kept
}

// check returns the value without the white space around it, or why the
// field must not be added in place of one that took freed bytes.
func (b *block) check(name, value []byte, freed int) ([]byte, error) {
	if !validName(name) || !validValue(value) {
		return nil, exchange.ErrInvalid
	}
	// The size of a field is also counted for one without bytes.
	size := b.live + len(name) + len(value) + fieldBytes*len(b.fields)
	if size-freed > blockBytesMax {
		return nil, fmt.Errorf("set header %q: more than %d bytes of headers", name, blockBytesMax)
	}
	return bytes.Trim(value, " \t"), nil
}

// keep copies p into memory of the block. What was kept earlier stays where
// it is when the arena grows.
func (b *block) keep(p []byte) []byte {
	if len(b.arena)+len(p) > 2*b.live+4<<10 {
		b.compact()
	}
	return b.copy(p)
}

func (b *block) copy(p []byte) []byte {
	start := len(b.arena)
	b.arena = append(b.arena, p...)
	return b.arena[start:len(b.arena):len(b.arena)]
}

// compact moves the fields to new memory, without what was replaced since:
// whoever sets one field again and again must not fill ours with it.
func (b *block) compact() {
	b.arena = make([]byte, 0, 2*b.live+4<<10)
	for i := range b.fields {
		f := &b.fields[i]
		f.name, f.value = b.copy(f.name), b.copy(f.value)
	}
}

// sameName compares header names, of which the case does not matter.
func sameName(a, b []byte) bool {
	return len(a) == len(b) && bytes.EqualFold(a, b)
}

func isName(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := range name {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// validName reports whether name is a token (RFC 9110, section 5.6.2).
func validName(name []byte) bool {
	for _, c := range name {
		if !isTokenByte(c) {
			return false
		}
	}
	return len(name) > 0
}

func isTokenByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	case c <= ' ', c >= 0x7f:
		return false
	}
	switch c {
	case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~':
		return true
	}
	return false
}

// validValue reports whether value is free of control characters but tab
// (RFC 9110, section 5.5).
func validValue(value []byte) bool {
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// connectionOnly reports whether name describes the connection rather than
// the message (RFC 9110, section 7.6.1): such fields are the server's.
func connectionOnly(name []byte) bool {
	switch len(name) {
	case 2:
		return isName(name, "te")
	case 7:
		return isName(name, "trailer") || isName(name, "upgrade")
	case 10:
		return isName(name, "connection") || isName(name, "keep-alive")
	case 16:
		return isName(name, "proxy-connection")
	case 17:
		return isName(name, "transfer-encoding")
	}
	return false
}

// hasToken reports whether the comma-separated list has token, in lower
// case, in it.
func hasToken(list []byte, token string) bool {
	for len(list) > 0 {
		item, rest, _ := bytes.Cut(list, []byte{','})
		if isName(bytes.Trim(item, " \t"), token) {
			return true
		}
		list = rest
	}
	return false
}

// withoutToken is the comma-separated list without token.
func withoutToken(list, token []byte) []byte {
	var kept [][]byte
	all := bytes.Split(list, []byte{','})
	for _, item := range all {
		if item = bytes.Trim(item, " \t"); !sameName(item, token) {
			kept = append(kept, item)
		}
	}
	if len(kept) == len(all) {
		return list
	}
	return bytes.Join(kept, []byte(", "))
}
