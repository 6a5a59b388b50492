package web

import (
	"errors"
	"io"

	"github.com/valyala/fasthttp"

	"github.com/apphost/apphost/host/exchange"
)

// requestHeader lets a handler change what later ones see.
type requestHeader block

func (h *requestHeader) block() *block                      { return (*block)(h) }
func (h *requestHeader) Names(yield func(name []byte) bool) { h.block().Names(yield) }
func (h *requestHeader) Values(name []byte, yield func(value []byte) bool) {
	h.block().Values(name, yield)
}
func (h *requestHeader) Remove(name []byte) error { h.block().remove(name); return nil }

func (h *requestHeader) Set(name, value []byte) error {
	h.passOn(name)
	return h.block().set(name, value)
}

func (h *requestHeader) Add(name, value []byte) error {
	h.passOn(name)
	return h.block().add(name, value)
}

// passOn takes a field off the client's list of those that end here (RFC 9110,
// section 7.6.1): otherwise a client could have a proxy drop what a handler
// before it has found out, such as who the client is.
func (h *requestHeader) passOn(name []byte) {
	if isName(name, "connection") {
		return
	}
	for i := range h.fields {
		if f := &h.fields[i]; isName(f.name, "connection") {
			kept := withoutToken(f.value, name)
			h.live += len(kept) - len(f.value)
			f.value = kept
		}
	}
}

// responseHeader is the response's header block.
//
// Fields about the connection (RFC 9110, section 7.6.1) and Date are the
// server's: setting one succeeds and does nothing, except that
// "Connection: close" ends the connection after the response. There is one
// Content-Length; it decides how a streamed response is framed, and for
// others counts only where there is no body to measure (HEAD, 304).
type responseHeader exchangeState

func (h *responseHeader) Names(yield func(name []byte) bool) { h.response.Names(yield) }
func (h *responseHeader) Values(name []byte, yield func(value []byte) bool) {
	h.response.Values(name, yield)
}

func (h *responseHeader) Set(name, value []byte) error {
	return h.change(name, value, h.response.set)
}

func (h *responseHeader) Add(name, value []byte) error {
	return h.change(name, value, h.response.add)
}

func (h *responseHeader) Remove(name []byte) error {
	if h.stream.on {
		return exchange.ErrSent
	}
	h.response.remove(name)
	return nil
}

func (h *responseHeader) change(name, value []byte, change func(name, value []byte) error) error {
	switch {
	case h.stream.on:
		return exchange.ErrSent
	case connectionOnly(name):
		if !validValue(value) {
			return exchange.ErrInvalid
		}
		h.close = h.close || isName(name, "connection") && hasToken(value, "close")
		return nil
	case isName(name, "content-length"):
		if parseLength(value) < 0 {
			return exchange.ErrInvalid
		}
		return h.response.set(name, value)
	}
	return change(name, value)
}

// responseTrailers are sent after a streamed response in chunks, and make a
// response one if they are there when the handler ends. To a client of
// HTTP/1.0 they are not sent.
type responseTrailers exchangeState

func (h *responseTrailers) Names(yield func(name []byte) bool) { h.responseTrailers.Names(yield) }
func (h *responseTrailers) Values(name []byte, yield func(value []byte) bool) {
	h.responseTrailers.Values(name, yield)
}

func (h *responseTrailers) Set(name, value []byte) error {
	if !trailerAllowed(name) {
		return exchange.ErrInvalid
	}
	return h.responseTrailers.set(name, value)
}

func (h *responseTrailers) Add(name, value []byte) error {
	if !trailerAllowed(name) {
		return exchange.ErrInvalid
	}
	return h.responseTrailers.add(name, value)
}

func (h *responseTrailers) Remove(name []byte) error {
	h.responseTrailers.remove(name)
	return nil
}

// trailerAllowed refuses the fields that are needed before the body
// (RFC 9110, section 6.5.1).
func trailerAllowed(name []byte) bool {
	return !connectionOnly(name) && !isName(name, "content-length") &&
		!isName(name, "content-type") && !isName(name, "content-encoding") && !isName(name, "set-cookie")
}

// parseLength is the value of a Content-Length, or -1.
func parseLength(value []byte) int64 {
	if len(value) == 0 || len(value) > 18 {
		return -1
	}
	n := int64(0)
	for _, c := range value {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// declaredLength is the handler's Content-Length, or -1.
func (x *exchangeState) declaredLength() int64 {
	for i := range x.response.fields {
		if f := &x.response.fields[i]; isName(f.name, "content-length") {
			return parseLength(f.value)
		}
	}
	return -1
}

// streamLength is that of the body to come, as far as the handler has told. If a
// handler has made a request into HEAD, what is told is of a body that does not
// come.
func (x *exchangeState) streamLength() int64 {
	if string(x.method) == "HEAD" && !x.http.IsHead() {
		return -1
	}
	return x.declaredLength()
}

// bodyAllowed reports whether the response has a body at all (RFC 9110,
// section 6.4.1).
func (x *exchangeState) bodyAllowed() bool {
	return !x.http.IsHead() && x.status != fasthttp.StatusNoContent && x.status != fasthttp.StatusNotModified
}

// finish ends the response after the handler, which returned err.
func (x *exchangeState) finish(err error) {
	if x.c.upgrade != nil {
		if err != nil {
			x.c.cut(nil)
		}
		return
	}
	if err == nil {
		if err = x.LengthError(); err != nil { // of a handler that does not ask
			x.c.server.config.Logger.Error("handler's response is not one",
				"connection", x.c.ID(), "request", x.c.record.trace.ID(), "route", x.c.record.entry.Route, "error", err)
		}
	}
	if err != nil && !x.stream.on {
		x.failed(err)
		err = nil
	}
	x.close = x.close || x.c.Stopping() || x.body.err != io.EOF && !x.body.drainable()
	switch {
	case x.stream.on:
	case x.bodyAllowed() && len(x.responseTrailers.fields) > 0 && x.http.Request.Header.IsHTTP11():
		x.streamHeld(-1) // trailers need chunks
	case x.bodyAllowed() && len(x.held) == 1, x.body.err != io.EOF && !x.close:
		// The library's writer would keep a single byte back (passThrough),
		// and all of it until the rest of the request's body was drained.
		x.streamHeld(int64(len(x.held)))
	}
	if x.stream.on {
		x.endStream(err)
		// A closed connection is all that can still be said.
		if x.close || !x.drainBody() {
			x.http.Response.SetConnectionClose()
		}
		return
	}
	x.render()
}

// failed makes the response one of a handler that failed.
func (x *exchangeState) failed(err error) {
	failure := x.body.failure()
	switch {
	case errors.Is(err, exchange.ErrTimeout):
		x.plain(fasthttp.StatusGatewayTimeout)
	case failure != nil:
		x.refused(refusalStatus(failure), failure) // the client's fault
	default:
		x.plain(fasthttp.StatusInternalServerError)
	}
}

// streamHeld makes a stream of a response that is complete.
func (x *exchangeState) streamHeld(length int64) {
	x.startStream(length)
	_ = x.writeStream(x.held) // a failure is kept by the connection
}

// drainBody reads what the handler left of the request's body, and reports
// whether another request can follow.
func (x *exchangeState) drainBody() bool {
	return x.body.err == io.EOF || x.c.err == nil && x.body.drain()
}

// render makes the library's response of ours.
func (x *exchangeState) render() {
	x.fillHeader()
	x.rendered = true
	x.http.Response.SetBodyRaw(x.held)
	if x.bodyAllowed() {
		x.bodySent = int64(len(x.held))
	}
}

// fillHeader copies status and header to the library's response.
func (x *exchangeState) fillHeader() {
	h := &x.http.Response.Header
	h.DisableNormalizing()
	h.SetStatusCode(x.status)
	for i := range x.response.fields {
		f := &x.response.fields[i]
		if isName(f.name, "content-length") && (x.bodyAllowed() || x.status == fasthttp.StatusNoContent) {
			continue // measured, or forbidden (RFC 9110, section 8.6)
		}
		h.AddBytesKV(f.name, f.value)
	}
	if x.close {
		h.SetConnectionClose()
	}
}
