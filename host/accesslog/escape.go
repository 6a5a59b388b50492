package accesslog

import "unicode/utf8"

// cutMark ends a value that is not there to its end.
const cutMark = "..."

const hexDigits = "0123456789abcdef"

// text is what clients and settings are made of.
type text interface{ string | []byte }

// appendEscaped appends value as httpd writes it within quotes: what is not
// printable ASCII as \xhh, or \n and the like, and a quote or a backslash with
// a backslash before it. Outside of quotes a space is escaped, too: there, it
// ends the field. No more than room bytes are appended, and cutMark.
func appendEscaped[T text](dst []byte, value T, room int, quoted bool) []byte {
	end := len(dst) + room
	for i := range len(value) {
		var piece [4]byte
		n := escapeByte(&piece, value[i], quoted)
		if len(dst)+n > end {
			return append(dst, cutMark...)
		}
		dst = append(dst, piece[:n]...)
	}
	return dst
}

// escapeByte puts what stands for c into piece, and returns its length.
func escapeByte(piece *[4]byte, c byte, quoted bool) int {
	short := byte(0)
	switch {
	case c == '"' || c == '\\':
		short = c
	case c == '\b':
		short = 'b'
	case c == '\n':
		short = 'n'
	case c == '\r':
		short = 'r'
	case c == '\t':
		short = 't'
	case c == '\v':
		short = 'v'
	case c < ' ' || c >= 0x7f || c == ' ' && !quoted:
		*piece = [4]byte{'\\', 'x', hexDigits[c>>4], hexDigits[c&15]}
		return 4
	default:
		piece[0] = c
		return 1
	}
	piece[0], piece[1] = '\\', short
	return 2
}

// appendJSON appends value as a JSON string (RFC 8259, section 7). Bytes that
// are not UTF-8 become U+FFFD each, and what a terminal could obey is escaped.
// The same room holds as for appendEscaped, besides the quotes.
func appendJSON[T text](dst []byte, value T, room int) []byte {
	dst = append(dst, '"')
	end := len(dst) + room
	for i := 0; i < len(value); {
		var next [utf8.UTFMax]byte
		r, size := utf8.DecodeRune(next[:copy(next[:], value[i:])])
		var piece [6]byte
		n := 0
		switch {
		case r == utf8.RuneError && size == 1:
			n = copy(piece[:], `\ufffd`)
		case r == '"' || r == '\\':
			n = copy(piece[:], []byte{'\\', byte(r)})
		case r < ' ', 0x7f <= r && r < 0xa0, r == '\u2028', r == '\u2029':
			n = copy(piece[:], []byte{'\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15]})
		default:
			n = copy(piece[:], value[i:i+size])
		}
		if len(dst)+n > end {
			dst = append(dst, cutMark...)
			break
		}
		dst = append(dst, piece[:n]...)
		i += size
	}
	return append(dst, '"')
}
