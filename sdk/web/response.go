package web

import (
	"github.com/apphost/apphost/sdk/abi"
	"github.com/apphost/apphost/sdk/internal/httpguest"
)

// bufferBytes is how much of a body is collected before it goes to the
// server. A call costs tens of nanoseconds; many small writes become one.
const bufferBytes = 8 << 10

// Response is what the client gets: status 200 and no body unless the handler
// says otherwise. Status and header must be set before the first Flush and
// before 8 KiB of the body were written; after that they may be on their way,
// and changing them ends the request. One goroutine uses it at a time.
type Response struct {
	exchange httpguest.Exchange
	buf      []byte
	calls    int // of WriteBody; the server sends from the second on
	next     bool
}

// Next passes the request on when the handler returns: what follows in the chain
// of the route answers it, as it is by then. Header fields that were set here are
// in its response, unless it sets them itself. A handler that passes on writes no
// body. Without anything behind it the client gets status 404.
func (w *Response) Next() { w.next = true }

// Status sets the status code.
func (w *Response) Status(code int) { w.exchange.SetStatus(code) }

// SetHeader sets a header field, in place of what it was. A name or value that
// HTTP does not allow, such as one with a line break, is refused by the
// server: the request ends with status 500.
//
// If the handler sets no Content-Type, a body is sent as text/plain in UTF-8:
// what a client sent is then never read as HTML by mistake.
func (w *Response) SetHeader(name, value string) {
	w.exchange.SetHeader(abi.HeaderResponse, name, value)
}

// AddHeader adds a value to a header field.
func (w *Response) AddHeader(name, value string) {
	w.exchange.AddHeader(abi.HeaderResponse, name, value)
}

// RemoveHeader removes a header field.
func (w *Response) RemoveHeader(name string) {
	w.exchange.RemoveHeader(abi.HeaderResponse, name)
}

// Write adds p to the body. It never fails: a client that is gone ends the
// request.
func (w *Response) Write(p []byte) (int, error) {
	if len(w.buf)+len(p) > bufferBytes {
		w.send()
	}
	if len(p) > bufferBytes {
		w.call(p)
	} else {
		w.buf = append(w.buf, p...)
	}
	return len(p), nil
}

// WriteString adds s to the body, as Write does.
func (w *Response) WriteString(s string) (int, error) {
	if len(s) > bufferBytes {
		return w.Write([]byte(s))
	}
	if len(w.buf)+len(s) > bufferBytes {
		w.send()
	}
	w.buf = append(w.buf, s...)
	return len(s), nil
}

// Flush sends the header and what was written so far to the client. A response
// that is never flushed and fits the buffer is sent with its length.
func (w *Response) Flush() {
	w.send()
	// The server holds the first call back, and sends it with the next.
	for w.calls < 2 {
		w.call(nil)
	}
}

// Error answers with a status and a line of text, in place of a body that was
// not sent yet.
func (w *Response) Error(code int, message string) {
	w.buf = w.buf[:0]
	w.Status(code)
	w.SetHeader("Content-Type", "text/plain; charset=utf-8")
	w.buf = append(w.buf, message...)
	w.buf = append(w.buf, '\n')
}

// Redirect answers with a status such as 303 and the place to go to, which may
// be relative to the request's URL. It must be a URL already: encode what
// comes from a client.
func (w *Response) Redirect(code int, location string) {
	w.buf = w.buf[:0]
	w.Status(code)
	w.SetHeader("Location", location)
}

// send hands the buffer to the server, if there is anything in it.
func (w *Response) send() {
	if len(w.buf) > 0 {
		w.call(w.buf)
		w.buf = w.buf[:0]
	}
}

func (w *Response) call(p []byte) {
	if w.calls == 0 && len(w.exchange.HeaderValues(abi.HeaderResponse, "Content-Type")) == 0 {
		w.SetHeader("Content-Type", "text/plain; charset=utf-8")
	}
	w.exchange.WriteBody(p)
	w.calls++
}

// finish completes the response once the handler has returned.
func (w *Response) finish() { w.send() }
