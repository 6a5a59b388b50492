package web

import (
	"bytes"

	"github.com/apphost/apphost/mpm"
)

// record tells the model, if it wants to know, which request a connection is
// at, and what each took.
type record struct {
	to     mpm.RequestRecorder // nil if the model does not
	open   bool                // a request was begun and not ended
	before int64               // what was sent on the connection before it
	buffer []byte
}

// beginRecord notes a request.
func (c *conn) beginRecord(method, target, protocol []byte) {
	r := &c.record
	if r.to == nil {
		return
	}
	r.open, r.before = true, c.sent()
	r.to.BeginRequest(method, withoutPasswords(&r.buffer, method, target), protocol)
}

// endRecord counts the request that was begun last, once.
func (c *conn) endRecord() {
	r := &c.record
	if r.open {
		r.open = false
		r.to.EndRequest(c.sent() - r.before)
	}
}

// sent is how many bytes were written or are about to be.
func (c *conn) sent() int64 { return c.written + int64(len(c.out)) }

// withoutPasswords returns the target of a request without what stands for a
// password in each URL in it, the target itself or one in its query:
// "//user:password@host". It is target if there is none, or else in buffer.
func withoutPasswords(buffer *[]byte, method, target []byte) []byte {
	if bytes.IndexByte(target, '@') < 0 {
		return target
	}
	out := (*buffer)[:0]
	rest := target
	if string(method) == "CONNECT" { // its target has no "//" before the host
		out, rest = hidePassword(out, rest)
	}
	for {
		at := bytes.Index(rest, []byte("//"))
		if at < 0 {
			break
		}
		out = append(out, rest[:at+2]...)
		out, rest = hidePassword(out, rest[at+2:])
	}
	out = append(out, rest...)
	*buffer = out
	return out
}

// hidePassword appends the user of an authority that begins rest to out, with
// signs in place of a password, and returns what follows.
func hidePassword(out, rest []byte) (shown, after []byte) {
	authority := rest
	if end := bytes.IndexAny(rest, "/?#&"); end >= 0 {
		authority = rest[:end]
	}
	host := bytes.LastIndexByte(authority, '@')
	colon := bytes.IndexByte(authority, ':')
	if host < 0 || colon < 0 || colon > host {
		return out, rest
	}
	out = append(out, authority[:colon]...)
	return append(out, ":XXXXXXXX"...), rest[host:]
}
