package web

import (
	"bytes"
	"net/http"
	"sync/atomic"
	"time"
)

// dates renders the Date of responses (RFC 9110, section 6.6.1), once for each second
// in which one is sent. The library does it each second, for which an idle process
// wakes up for ever. It is safe for concurrent use.
type dates struct{ last atomic.Pointer[date] }

type date struct {
	second int64
	line   []byte
}

// line is the header's line at a time.
func (d *dates) line(now time.Time) []byte {
	last := d.last.Load()
	if second := now.Unix(); last == nil || last.second != second {
		line := append([]byte(nil), "Date: "...)
		line = now.UTC().AppendFormat(line, http.TimeFormat)
		last = &date{second, append(line, '\r', '\n')}
		d.last.Store(last)
	}
	return last.line
}

// sendHeader adds a response's header, as the library writes it, with the Date.
func (c *conn) sendHeader(header []byte) error {
	first := bytes.IndexByte(header, '\n') + 1
	_ = c.send(header[:first]) // a failure is kept
	_ = c.send(c.server.dates.line(time.Now()))
	return c.send(header[first:])
}
