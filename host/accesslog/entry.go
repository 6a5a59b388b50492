package accesslog

import (
	"bytes"
	"strconv"
	"time"
)

// valueBytesMax is how much is kept of one value that a client sent.
const valueBytesMax = 2 << 10

// Entry is one request, or one connection where those have no requests. It is
// used again and again, so that a line needs no memory.
type Entry struct {
	Trace *Trace // has its id, and what plugins did

	Began      time.Time
	Took       time.Duration
	Remote     string // HOST:PORT, or anything else for a Unix socket
	Listener   string
	Route      string // what matched; "" is nothing
	Connection uint64
	Status     int   // 0 where there are none
	BodyBytes  int64 // of the response
	SentBytes  int64 // with its header, and the framing
	// Aborted means that the response was cut off.
	Aborted bool

	method, target, protocol span
	fields                   []span
	arena                    []byte
}

// span is a piece of an entry's memory.
type span struct{ from, to int }

func (e *Entry) bytes(s span) []byte { return e.arena[s.from:s.to] }

func (e *Entry) keep(p []byte) span {
	from := len(e.arena)
	e.arena = append(e.arena, p[:min(len(p), valueBytesMax)]...)
	return span{from, len(e.arena)}
}

// Begin empties the entry.
func (e *Entry) Begin() {
	arena := e.arena[:0]
	if cap(arena) > 64<<10 {
		arena = nil
	}
	*e = Entry{arena: arena, fields: e.fields[:0]}
}

// Request keeps the request line. Without it, there was none that could be read.
func (e *Entry) Request(method, target, protocol []byte) {
	e.method, e.target, e.protocol = e.keep(method), e.keep(target), e.keep(protocol)
}

// Field keeps a field of the request's header if the log wants it; of several
// with a name, the first.
func (e *Entry) Field(l *Log, name, value []byte) {
	for i, wanted := range l.format.fields {
		if !isName(name, wanted) {
			continue
		}
		for len(e.fields) <= i {
			e.fields = append(e.fields, span{})
		}
		if e.fields[i] == (span{}) {
			e.fields[i] = e.keep(value)
		}
		return
	}
}

// field is a field that was kept, or empty.
func (e *Entry) field(i int) []byte {
	if i < len(e.fields) {
		return e.bytes(e.fields[i])
	}
	return nil
}

// remoteHost is the address without the port.
func (e *Entry) remoteHost() string {
	for i := len(e.Remote) - 1; i >= 0; i-- {
		if e.Remote[i] != ':' {
			continue
		}
		host := e.Remote[:i]
		if len(host) > 2 && host[0] == '[' && host[i-1] == ']' {
			return host[1 : i-1]
		}
		return host
	}
	return "unix"
}

// pathAndQuery are the target's; the query begins with its "?".
func (e *Entry) pathAndQuery() (path, query []byte) {
	target := e.bytes(e.target)
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		return target[:i], target[i:]
	}
	return target, nil
}

// isName compares name with one in lower case.
func isName(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// How much of a line the values may take, escaped. All of a JSON line, and of
// httpd's own formats, fits LineBytesMax with them.
const (
	targetRoom = 1500
	fieldRoom  = 400
	nameRoom   = 128 // of routes, plugins and listeners
	remoteRoom = 112
	methodRoom = 64
)

// appendText appends the line as the items say.
func (l *Log) appendText(dst []byte, e *Entry) []byte {
	for i := range l.format.items {
		it := &l.format.items[i]
		if it.kind == literal {
			dst = append(dst, it.text...)
			continue
		}
		before := len(dst)
		dst = l.appendItem(dst, e, it)
		if len(dst) == before && it.kind != query {
			dst = append(dst, '-')
		}
	}
	return dst
}

func (l *Log) appendItem(dst []byte, e *Entry, it *item) []byte {
	switch it.kind {
	case remoteHost:
		return appendEscaped(dst, e.remoteHost(), remoteRoom, it.quoted)
	case clock:
		return e.Began.AppendFormat(dst, "[02/Jan/2006:15:04:05 -0700]")
	case requestLine:
		return e.appendRequestLine(dst, it.quoted)
	case method:
		return appendEscaped(dst, e.bytes(e.method), methodRoom, it.quoted)
	case path:
		p, _ := e.pathAndQuery()
		return appendEscaped(dst, p, targetRoom, it.quoted)
	case query:
		_, q := e.pathAndQuery()
		return appendEscaped(dst, q, targetRoom, it.quoted)
	case protocol:
		return appendEscaped(dst, e.bytes(e.protocol), methodRoom, it.quoted)
	case requestField:
		return appendEscaped(dst, e.field(it.field), fieldRoom, it.quoted)
	case plugin:
		return appendEscaped(dst, e.Trace.plugin, nameRoom, it.quoted)
	case route:
		return appendEscaped(dst, e.Route, nameRoom, it.quoted)
	case listener:
		return appendEscaped(dst, e.Listener, nameRoom, it.quoted)
	case requestID:
		return e.Trace.AppendID(dst)
	}
	return l.appendNumber(dst, e, it.kind)
}

func (l *Log) appendNumber(dst []byte, e *Entry, k kind) []byte {
	n := int64(0)
	switch k {
	case status:
		n = int64(e.Status)
	case bodyBytes, bodyBytesOrDash:
		n = e.BodyBytes
	case sentBytes:
		n = e.SentBytes
	case microseconds:
		n = e.Took.Microseconds()
	case seconds:
		n = int64(e.Took / time.Second)
	case guestMicroseconds:
		n = e.Trace.guest.Microseconds()
	case generation:
		return strconv.AppendUint(dst, l.generation, 10)
	case slot:
		n = int64(l.slot)
	case connection:
		return strconv.AppendUint(dst, e.Connection, 10)
	}
	if n == 0 && (k == bodyBytesOrDash || k == status || k == absent) {
		return dst // which makes it a dash
	}
	return strconv.AppendInt(dst, n, 10)
}

// appendRequestLine appends the request line, or nothing if there was none.
func (e *Entry) appendRequestLine(dst []byte, quoted bool) []byte {
	if e.method == e.target {
		return dst
	}
	space := " "
	if !quoted {
		space = `\x20`
	}
	dst = appendEscaped(dst, e.bytes(e.method), methodRoom, quoted)
	dst = append(dst, space...)
	dst = appendEscaped(dst, e.bytes(e.target), targetRoom, quoted)
	if p := e.bytes(e.protocol); len(p) > 0 {
		dst = append(dst, space...)
		dst = appendEscaped(dst, p, methodRoom, quoted)
	}
	return dst
}
