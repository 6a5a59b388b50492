package web

import (
	"bytes"
	"errors"
	"slices"
)

// fieldsMax is how many header fields a request may have; going through them
// takes time in proportion to its square.
const fieldsMax = 128

// framing is what the header says about the connection and about where the
// request ends.
type framing struct {
	length  bool // Content-Length
	chunked bool // Transfer-Encoding: chunked
	close   bool // Connection: close
}

// The reasons to refuse a request that the library would take. All but the
// first let two parsers disagree about where the request, or a field, ends.
var (
	errTooManyFields = errors.New("too many header fields")
	errBareLineEnd   = errors.New("a header line does not end in CR LF")            // RFC 9112, section 2.2
	errFolded        = errors.New("a header line is folded")                        // section 5.2
	errName          = errors.New("a header name is not a token")                   // section 5.1
	errTwoLengths    = errors.New("both Content-Length and Transfer-Encoding")      // section 6.1
	errCoding        = errors.New("Transfer-Encoding is not exactly one chunked")   // section 6.1
	errCodingBefore  = errors.New("Transfer-Encoding in a request before HTTP/1.1") // section 6.1
)

// parseHeader splits raw, the header of a request as received, which the
// library found acceptable, into the fields of b, and is strict where the
// library is not.
func parseHeader(b *block, raw []byte, http11 bool) (framing, error) {
	var f framing
	codings := 0
	for len(raw) > 0 {
		end := bytes.IndexByte(raw, '\n')
		if end < 1 || bytes.IndexByte(raw[:end], '\r') != end-1 {
			return f, errBareLineEnd
		}
		line := raw[:end-1]
		raw = raw[end+1:]
		if len(line) == 0 {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			return f, errFolded
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 0 || !validName(line[:colon]) {
			return f, errName
		}
		if len(b.fields) == fieldsMax {
			return f, errTooManyFields
		}
		name, value := slices.Clip(line[:colon]), bytes.Trim(line[colon+1:], " \t")
		b.take(name, slices.Clip(value))
		switch len(name) {
		case 10:
			f.close = f.close || isName(name, "connection") && hasToken(value, "close")
		case 14:
			f.length = f.length || isName(name, "content-length")
		case 17:
			if isName(name, "transfer-encoding") {
				if codings++; codings > 1 || !isName(value, "chunked") {
					return f, errCoding
				}
				f.chunked = true
			}
		}
	}
	switch {
	case f.chunked && f.length:
		return f, errTwoLengths
	case f.chunked && !http11:
		return f, errCodingBefore
	}
	return f, nil
}

// splitTarget returns the path and query of a request target, and the
// authority if it is in absolute form (RFC 9112, section 3.2).
func splitTarget(target []byte) (uri, authority []byte) {
	if len(target) == 0 || target[0] == '/' {
		return target, nil
	}
	_, rest, ok := bytes.Cut(target, []byte("://"))
	if !ok {
		return target, nil
	}
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	return rest[end:], rest[:end]
}
