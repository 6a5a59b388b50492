// Package urlpath brings the paths of requests into the one form that they are
// compared in. Whoever decides by a path uses it, so that no spelling passes
// one place and means something else in another.
package urlpath

import "bytes"

// Clean is the path of uri that routes are compared with: without the
// query, decoded once, and without empty, "." and ".." segments (RFC 3986,
// sections 2.1 and 5.2.4), so that no spelling of it escapes a prefix. It
// begins with "/", and ends in "/" if the last segment was one of those. The
// result is part of uri where nothing had to change, which is nearly always,
// else it is in *buf, which grows as needed.
//
// The library has such a function too, but takes what follows a leading "//"
// for a host when there is a "://" anywhere behind it.
func Clean(buf *[]byte, uri []byte) []byte {
	path, _, _ := bytes.Cut(uri, []byte{'?'})
	if bytes.IndexByte(path, '%') < 0 && !bytes.Contains(path, []byte("//")) && !bytes.Contains(path, []byte("/.")) {
		return path
	}
	path = decode((*buf)[:0], path)
	*buf = path
	// The cleaned path grows over the one that is read: it is never longer.
	clean := path[:0]
	rest, more := path[1:], true
	for more {
		var segment []byte
		segment, rest, more = bytes.Cut(rest, []byte{'/'})
		named := false
		switch string(segment) {
		case "", ".":
		case "..":
			clean = clean[:max(bytes.LastIndexByte(clean, '/'), 0)]
		default:
			named = true
			clean = append(append(clean, '/'), segment...)
		}
		if !more && !named {
			clean = append(clean, '/')
		}
	}
	return clean
}

// decode appends p to dst with each %XX replaced by the byte it stands for;
// a "%" without two hexadecimal digits stays.
func decode(dst, p []byte) []byte {
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && i+2 < len(p) {
			if high, low := Unhex(p[i+1]), Unhex(p[i+2]); high|low < 16 {
				dst = append(dst, high<<4|low)
				i += 2
				continue
			}
		}
		dst = append(dst, p[i])
	}
	return dst
}

// Unhex is the value of a hexadecimal digit, or 0xff.
func Unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}
