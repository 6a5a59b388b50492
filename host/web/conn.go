package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/apphost/apphost/mpm"
)

// passThrough is the size of the library's write buffer: so small that what
// the library writes comes to conn.Write at once, where it is buffered in one
// order with what stream.go writes past the library. A bufio.Writer still
// keeps a write of a single byte back, so no such write must be made
// (exchange.finish).
const passThrough = 1

// outBytes is how much output is gathered before it is written: a response
// and its header are one write up to this size.
const outBytes = 16 << 10

// pieceBytes is the most that is given to one write: with the WriteTimeout it
// is the rate below which a client is too slow, 4 KiB/s by default.
const pieceBytes = 128 << 10

// errCut is what the library gets from a connection after cut.
var errCut = errors.New("response was cut off")

// phase is what a read on the connection waits for.
type phase uint8

const (
	inHeader phase = iota // a request's header
	inBody                // a request's body
	inIdle                // the next request
	inTunnel              // what comes after an upgrade
)

// conn is the connection the library sees: it tells the model the state,
// applies the timeouts, gathers output until the next read, and does not
// close. One goroutine uses it.
type conn struct {
	mpm.Conn
	server *Server
	ctx    context.Context
	x      exchangeState

	phase       phase
	headerStart time.Time     // of the header being read, or of the wait for it; zero before its first read
	heard       bool          // anything of the current request arrived
	readErr     error         // of the last read for the current request's body
	bodyTime    time.Duration // how much longer all of that body may keep us waiting
	bodyRate    int64         // how many bytes of it buy another second
	readArmed   time.Time     // the deadlines that are set
	writeArmed  time.Time
	until       time.Time // when the handler's time is over; zero is never

	out   []byte
	muted bool  // drop what the library writes: it was answered, or nobody listens
	err   error // of the first write that failed; sticky

	duplex      bool        // another goroutine reads: see duplex.go
	interrupted atomic.Bool // it is to end
	early       []byte      // what it read of the next request
	upgrade     *upgrade    // nil: none

	written int64    // bytes, in the life of the connection
	kept    *lasting // nil: the model does not park connections
	parked  bool     // it does park this one
	record  record

	line    []byte // the request's first, if it was kept
	refused bool   // the error that ended the connection was logged
	remote  string
}

func newConn(s *Server) *conn {
	c := &conn{server: s}
	c.x.c = c
	return c
}

func (c *conn) open(ctx context.Context, m mpm.Conn) {
	c.Conn, c.ctx = m, ctx
	c.phase, c.headerStart, c.heard = inHeader, time.Time{}, false
	c.readArmed, c.writeArmed = time.Time{}, time.Time{}
	c.muted, c.err, c.readErr, c.refused = false, nil, nil, false
	c.remote, c.early, c.upgrade = "", nil, nil
	c.written, c.until, c.line = 0, time.Time{}, c.line[:0]
	c.openRecord(ctx, m)
}

func (c *conn) release() {
	c.Conn, c.ctx, c.early, c.upgrade, c.kept = nil, nil, nil, nil, nil
	c.releaseRecord()
	c.out = reuse(c.out)
	c.x.release()
}

// onState learns from the library where it is: StateActive when a request
// begins, StateIdle when its response is written.
func (c *conn) onState(state fasthttp.ConnState) {
	switch state {
	case fasthttp.StateActive:
		// After an idle wait the library has the first byte already.
		c.heard = c.phase == inIdle
		c.phase, c.headerStart = inHeader, time.Time{}
	case fasthttp.StateIdle:
		c.phase, c.muted, c.heard = inIdle, false, false
		c.line = c.line[:0]
		c.endRecord()
	}
}

// Read reads for the phase the connection is in. Before it can block, all
// output goes out: pipelined requests are thereby answered in one write. (While
// another goroutine than the writer's reads, that is up to the writer.)
func (c *conn) Read(p []byte) (int, error) {
	if c.phase == inTunnel {
		return c.receive(p)
	}
	if !c.duplex {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	now := time.Now()
	var deadline time.Time
	config := &c.server.config
	limit := config.BodyTimeout
	switch c.phase {
	case inHeader:
		if c.headerStart.IsZero() {
			c.headerStart = now
			c.SetState(mpm.StateReading)
		}
		limit = config.HeaderTimeout
		if !c.heard {
			limit = config.FirstByteTimeout
		}
		deadline = c.headerStart.Add(limit)
	case inIdle:
		c.SetState(mpm.StateKeepalive)
		limit = config.IdleTimeout
		deadline = now.Add(limit)
	case inBody:
		if limit = min(limit, c.bodyTime); limit <= 0 {
			c.readErr = os.ErrDeadlineExceeded
			return 0, c.readErr
		}
		deadline, limit = c.bounded(now.Add(limit), limit)
	}
	if stale(c.readArmed, deadline, limit) {
		if err := c.SetReadDeadline(deadline); err != nil {
			return 0, err
		}
		c.readArmed = deadline
	}
	paused := c.record.trace.Pause()
	n, err := c.receive(p)
	if paused {
		c.record.trace.Resume()
	}
	if n > 0 {
		// The library reads while it waits for a request when it has nothing of one.
		if c.server.keepsLines && (c.phase == inIdle || !c.heard && c.phase == inHeader) {
			c.keepLine(p[:n])
		}
		c.noteArrival()
	} else if err != nil && !c.heard {
		c.muted = true // no request: no response either, such as 408
		c.parked = errors.Is(err, mpm.ErrParked)
	}
	if c.phase == inBody {
		c.readErr = err
		c.bodyTime -= time.Since(now)
		if c.bodyRate > 0 {
			c.bodyTime += time.Duration(n) * time.Second / time.Duration(c.bodyRate)
		}
	}
	return n, err
}

// noteArrival notes that something has come of the request.
func (c *conn) noteArrival() {
	first := !c.heard && c.phase == inHeader
	c.heard = true
	timed := c.server.config.AccessLog != nil && c.record.began.IsZero() && c.phase != inBody
	if !first && !timed {
		return
	}
	now := time.Now()
	if first {
		c.headerStart = now
	}
	if timed {
		c.record.began = now
	}
}

// startBody begins a request's body. Only the time that reads wait counts, so
// that a client does not pay for a slow handler.
func (c *conn) startBody() {
	c.phase, c.readErr = inBody, nil
	c.bodyTime, c.bodyRate = c.server.config.BodyGrace, c.server.config.BodyRateMin
}

// limitBody gives the rest of the body a time that no bytes make longer.
func (c *conn) limitBody(d time.Duration) {
	c.bodyTime, c.bodyRate = min(c.bodyTime, d), 0
}

// stale reports whether a deadline that is set, armed, is too far from the
// wanted one to be left alone.
func stale(armed, wanted time.Time, limit time.Duration) bool {
	early := wanted.Sub(armed)
	return early < 0 || early > min(limit/8, time.Second)
}

// bounded is a deadline of the body or the response with its limit, or the end of
// the handler's time if that comes before. Of that nothing is left off: who fails by
// it is told by the clock.
func (c *conn) bounded(deadline time.Time, limit time.Duration) (time.Time, time.Duration) {
	if !c.until.IsZero() && c.until.Before(deadline) {
		return c.until, 0
	}
	return deadline, limit
}

// Write is the library's way out.
func (c *conn) Write(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.muted {
		return len(p), nil
	}
	if c.x.rendered { // the header comes first, and in one piece: see passThrough
		c.x.rendered = false
		return len(p), c.sendHeader(p)
	}
	return len(p), c.send(p)
}

// makeRoom flushes unless n more bytes may be added to the output.
func (c *conn) makeRoom(n int) error {
	if len(c.out)+n > outBytes {
		return c.flush()
	}
	return c.err
}

// send adds p to the output.
func (c *conn) send(p []byte) error {
	if err := c.makeRoom(len(p)); err != nil {
		return err
	}
	if len(p) > outBytes {
		return c.writeOut(p)
	}
	c.out = append(c.out, p...)
	return nil
}

// sendString adds s, which is short, to the output.
func (c *conn) sendString(s string) error {
	if err := c.makeRoom(len(s)); err != nil {
		return err
	}
	c.out = append(c.out, s...)
	return nil
}

// flush writes the output gathered so far, and what the access log has to say
// of it.
func (c *conn) flush() error {
	if c.err == nil && len(c.out) > 0 {
		_ = c.writeOut(c.out) // a failure is kept
		c.out = c.out[:0]
	}
	c.writeLines()
	return c.err
}

// writeOut writes p in pieces, each of which has the whole WriteTimeout.
func (c *conn) writeOut(p []byte) error {
	for c.err == nil && len(p) > 0 {
		piece := p[:min(len(p), pieceBytes)]
		p = p[len(piece):]
		c.err = c.writePiece(piece)
	}
	return c.err
}

func (c *conn) writePiece(p []byte) error {
	limit := c.server.config.WriteTimeout
	deadline, limit := c.bounded(time.Now().Add(limit), limit)
	if stale(c.writeArmed, deadline, limit) {
		if err := c.SetWriteDeadline(deadline); err != nil {
			return err
		}
		c.writeArmed = deadline
	}
	paused := c.record.trace.Pause()
	n, err := c.Conn.Write(p)
	if paused {
		c.record.trace.Resume()
	}
	c.written += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

// cut makes what was sent so far the end of the connection: the client sees
// a response that breaks off. The reason may be nil: the handler has logged
// its own.
func (c *conn) cut(reason error) {
	if err := c.flush(); err == nil {
		c.err = errCut
		if reason != nil {
			c.err = fmt.Errorf("%w: %w", errCut, reason)
		}
	}
}

// Close does nothing: the model closes.
func (c *conn) Close() error { return nil }

func (c *conn) remoteAddr() string {
	if c.remote == "" {
		c.remote = c.RemoteAddr().String()
	}
	return c.remote
}

// keptBytes is the largest buffer that outlives a request.
const keptBytes = 64 << 10

// reuse returns b empty for the next request, or nil if it is too large to
// be kept.
func reuse(b []byte) []byte {
	if cap(b) > keptBytes {
		return nil
	}
	return b[:0]
}
