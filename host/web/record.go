package web

import (
	"bytes"
	"context"
	"time"

	"github.com/apphost/apphost/host/accesslog"
	"github.com/apphost/apphost/mpm"
)

// record tells the model and the access log, if they want to know, which request
// a connection is at, and what each took.
type record struct {
	to     mpm.RequestRecorder // nil if the model does not
	open   bool                // a request was begun and not ended
	before int64               // what was sent on the connection before it
	buffer []byte

	trace    *accesslog.Trace // of the connection
	ownTrace accesslog.Trace  // of one whose context has none
	logged   bool             // the request gets a line
	began    time.Time        // when its first byte came; zero until then
	entry    accesslog.Entry
	lines    []byte // of requests whose responses are in the output
}

// openRecord begins a connection.
func (c *conn) openRecord(ctx context.Context, m mpm.Conn) {
	r := &c.record
	r.open, r.logged, r.began = false, false, time.Time{}
	r.to, _ = m.(mpm.RequestRecorder)
	if r.trace = accesslog.TraceOf(ctx); r.trace == nil {
		r.ownTrace.Reset("", m.ID())
		r.trace = &r.ownTrace
	}
}

func (c *conn) releaseRecord() {
	r := &c.record
	r.to, r.trace = nil, nil
	r.entry.Begin()
	r.lines = reuse(r.lines)
}

// beginRecord notes a request.
func (c *conn) beginRecord(method, target, protocol []byte) {
	c.beginLine()
	r := &c.record
	if r.to == nil && !r.logged {
		return
	}
	r.before = c.sent()
	target = withoutPasswords(&r.buffer, method, target)
	if r.to != nil {
		r.open = true
		r.to.BeginRequest(method, target, protocol)
	}
	if r.logged {
		r.entry.Request(method, target, protocol)
	}
}

// beginLine begins a request's line in the access log, if there is one. If the
// request could not be read, this is all that is known of it.
func (c *conn) beginLine() {
	r, log := &c.record, c.server.config.AccessLog
	r.trace.Next(log != nil)
	if log == nil {
		return
	}
	if r.began.IsZero() {
		r.began = time.Now() // it came together with the one before
	}
	r.logged, r.before = true, c.sent()
	r.entry.Begin()
	r.entry.Trace, r.entry.Began = r.trace, r.began
}

// recordFields keeps what the access log wants of the request's header, which
// handlers may change.
func (c *conn) recordFields() {
	if !c.record.logged {
		return
	}
	for i := range c.x.request.fields {
		f := &c.x.request.fields[i]
		value := f.value
		if isName(f.name, "referer") {
			value = withoutPasswords(&c.record.buffer, nil, value) // a target of another request
		}
		c.record.entry.Field(c.server.config.AccessLog, f.name, value)
	}
}

// endRecord counts the request that was begun last, once, and makes its line.
func (c *conn) endRecord() {
	r := &c.record
	if r.open {
		r.open = false
		r.to.EndRequest(c.sent() - r.before)
	}
	if r.logged {
		r.logged = false
		e := &r.entry
		e.Took = time.Since(e.Began)
		e.Remote, e.Listener, e.Connection = c.remoteAddr(), c.Listener(), c.ID()
		e.Status, e.BodyBytes, e.SentBytes = c.x.status, c.x.bodySent, c.sent()-r.before
		e.Aborted = c.err != nil
		r.lines = c.server.config.AccessLog.Append(r.lines, e)
	}
	r.began = time.Time{}
}

// writeLines writes the lines of the requests whose responses are sent.
func (c *conn) writeLines() {
	r := &c.record
	if len(r.lines) == 0 {
		return
	}
	c.SetState(mpm.StateLogging)
	for rest := r.lines; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n') + 1
		c.server.config.AccessLog.Write(rest[:end])
		rest = rest[end:]
	}
	r.lines = reuse(r.lines)
	if c.phase == inBody {
		c.SetState(mpm.StateWriting) // of a later request
	}
}

// sent is how many bytes were written or are about to be.
func (c *conn) sent() int64 { return c.written + int64(len(c.out)) }
