package web

import "bytes"

// withoutPasswords returns the target of a request without what stands for a
// password in each URL in it, the target itself or one in its query:
// "//user:password@host", with each of the signs as it is or escaped once, as in a
// query. It is target if there is none, or else in buffer.
func withoutPasswords(buffer *[]byte, method, target []byte) []byte {
	if bytes.IndexByte(target, '@') < 0 && !bytes.Contains(target, []byte("%40")) {
		return target
	}
	out := (*buffer)[:0]
	rest := target
	if string(method) == "CONNECT" { // its target has no "//" before the host
		out, rest = hidePassword(out, rest, false)
	}
	for at, slashes := 0, 0; at < len(rest); {
		c, n := sign(rest[at:])
		at += n
		if c != '/' {
			slashes = 0
			continue
		}
		if slashes++; slashes == 2 {
			out = append(out, rest[:at]...)
			out, rest = hidePassword(out, rest[at:], n > 1)
			at, slashes = 0, 0
		}
	}
	out = append(out, rest...)
	*buffer = out
	return out
}

// hidePassword appends the user of an authority that begins rest to out, with
// signs in place of a password, and returns what follows. In an escaped URL an
// escaped sign ends the authority, too.
func hidePassword(out, rest []byte, escaped bool) (shown, after []byte) {
	password, host := -1, -1 // where they begin, the one behind its sign
	for at := 0; at < len(rest); {
		c, n := sign(rest[at:])
		if (n == 1 || escaped) && (c == '/' || c == '?' || c == '#' || c == '&') {
			break
		}
		switch {
		case c == ':' && password < 0:
			password = at + n
		case c == '@':
			host = at
		}
		at += n
	}
	if password < 0 || host < password {
		return out, rest
	}
	out = append(out, rest[:password]...)
	return append(out, "XXXXXXXX"...), rest[host:]
}

// sign is the first sign of p, which may be escaped, and how long it is.
func sign(p []byte) (c byte, n int) {
	if p[0] == '%' && len(p) >= 3 {
		if high, low := hexDigit(p[1]), hexDigit(p[2]); high >= 0 && low >= 0 {
			return byte(high<<4 | low), 3
		}
	}
	return p[0], 1
}

// hexDigit is the value of a digit, or -1.
func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
