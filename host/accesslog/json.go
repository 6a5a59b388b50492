package accesslog

import (
	"strconv"
	"time"
)

// clockLayout is RFC 3339 in microseconds.
const clockLayout = `2006-01-02T15:04:05.000000Z07:00`

// appendJSONLine appends an object. What is empty is left out.
func (l *Log) appendJSONLine(dst []byte, e *Entry) []byte {
	dst = append(dst, `{"time":"`...)
	dst = e.Began.UTC().AppendFormat(dst, clockLayout)
	dst = append(dst, `","id":"`...)
	dst = e.Trace.AppendID(dst)
	dst = append(dst, '"')
	o := object{dst}
	o.text("remote", e.Remote, remoteRoom)
	o.text("listener", e.Listener, nameRoom)
	o.bytes("host", e.field(0), fieldRoom/2)
	o.bytes("method", e.bytes(e.method), methodRoom)
	o.bytes("uri", e.bytes(e.target), targetRoom)
	o.bytes("protocol", e.bytes(e.protocol), methodRoom)
	if e.Status != 0 {
		o.number("status", int64(e.Status))
		o.number("body_bytes", e.BodyBytes)
	}
	o.number("sent_bytes", e.SentBytes)
	o.number("duration_us", e.Took.Microseconds())
	if e.Trace.plugin != "" {
		o.text("plugin", e.Trace.plugin, nameRoom)
		o.number("guest_us", int64(e.Trace.guest/time.Microsecond))
	}
	o.text("route", e.Route, nameRoom)
	o.bytes("referer", e.field(1), fieldRoom)
	o.bytes("user_agent", e.field(2), fieldRoom)
	if e.Aborted {
		o.dst = append(o.dst, `,"aborted":true`...)
	}
	o.number("generation", int64(l.generation)) //nolint:gosec // one for each reload
	o.number("slot", int64(l.slot))
	o.number("connection", int64(e.Connection)) //nolint:gosec // one for each connection of a process
	return append(o.dst, '}')
}

// object is a JSON object that is being written, after its first key.
type object struct{ dst []byte }

func (o *object) key(name string) {
	o.dst = append(o.dst, ',', '"')
	o.dst = append(o.dst, name...)
	o.dst = append(o.dst, '"', ':')
}

func (o *object) text(key, value string, room int) {
	if value != "" {
		o.key(key)
		o.dst = appendJSON(o.dst, value, room)
	}
}

// bytes is text of a client.
func (o *object) bytes(key string, value []byte, room int) {
	if len(value) > 0 {
		o.key(key)
		o.dst = appendJSON(o.dst, value, room)
	}
}

func (o *object) number(key string, n int64) {
	o.key(key)
	o.dst = strconv.AppendInt(o.dst, n, 10)
}
