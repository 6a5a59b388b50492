package web

import (
	"bytes"
	"errors"
	"math"
	"slices"

	"github.com/apphost/apphost/host/internal/urlpath"
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
	// bytes is the value of Content-Length, or a huge number in place of one
	// that is larger.
	bytes int64
	// awaited means Expect: 100-continue.
	awaited bool
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

// Two more, about what a request asks for.
var (
	errAuthority   = errors.New("the host is not valid")              // RFC 9112, section 3.2
	errTarget      = errors.New("the request target is not valid")    // section 3.2.2
	errExpectation = errors.New("an expectation is not 100-continue") // RFC 9110, section 10.1.1
)

// parseHeader splits raw, the header of a request as received, which the
// library found acceptable, into the fields of b, and is strict where the
// library is not.
func parseHeader(b *block, raw []byte, http11 bool) (framing, error) {
	var f framing
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
		if err := f.note(name, value, http11); err != nil {
			return f, err
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

// note takes what a field says about the framing.
func (f *framing) note(name, value []byte, http11 bool) error {
	switch len(name) {
	case 4:
		if isName(name, "host") && len(value) > 0 && !validAuthority(value) {
			return errAuthority
		}
	case 6:
		// One of a client of HTTP/1.0 does not count.
		if http11 && isName(name, "expect") {
			if !isName(value, "100-continue") {
				return errExpectation
			}
			f.awaited = true
		}
	case 10:
		f.close = f.close || isName(name, "connection") && hasToken(value, "close")
	case 14:
		if isName(name, "content-length") {
			f.length = true
			if f.bytes = parseLength(value); f.bytes < 0 {
				f.bytes = math.MaxInt64 // digits, as the library has seen, but too many
			}
		}
	case 17:
		if isName(name, "transfer-encoding") {
			if f.chunked || !isName(value, "chunked") {
				return errCoding
			}
			f.chunked = true
		}
	}
	return nil
}

// splitTarget returns the path and query of a request target, and the
// authority if it is in absolute form (RFC 9112, section 3.2).
func splitTarget(target []byte) (uri, authority []byte, err error) {
	if len(target) == 0 || target[0] == '/' {
		return target, nil, nil
	}
	scheme, rest, ok := bytes.Cut(target, []byte("://"))
	if !ok {
		return target, nil, nil
	}
	if !isName(scheme, "http") && !isName(scheme, "https") || bytes.IndexByte(rest, '#') >= 0 {
		return nil, nil, errTarget
	}
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if !validAuthority(rest[:end]) {
		return nil, nil, errAuthority
	}
	return rest[end:], rest[:end], nil
}

// validAuthority reports whether a is a host that is not empty, and maybe a
// port (RFC 3986, section 3.2). A user's name in it could only mislead.
func validAuthority(a []byte) bool {
	host, port := a, []byte(nil)
	if end := bytes.LastIndexByte(a, ':'); end > bytes.LastIndexByte(a, ']') {
		host, port = a[:end], a[end+1:]
	}
	for _, c := range port {
		if c < '0' || c > '9' {
			return false
		}
	}
	literal := len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']'
	if literal {
		host = host[1 : len(host)-1]
	}
	for i, c := range host {
		switch {
		case c == '%':
			if i+2 >= len(host) || urlpath.Unhex(host[i+1])|urlpath.Unhex(host[i+2]) > 15 {
				return false
			}
		case !isHostByte(c) && !(literal && c == ':'):
			return false
		}
	}
	return len(host) > 0
}

// isHostByte reports whether c may be in a host's name as it is (RFC 3986,
// section 3.2.2).
func isHostByte(c byte) bool {
	switch c {
	case '(', ')', ',', ';', '=':
		return true
	case '#', '%', '^', '`', '|':
		return false
	}
	return isTokenByte(c)
}
