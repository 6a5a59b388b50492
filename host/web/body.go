package web

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/valyala/fasthttp"
)

// drainBytesMax is how much of a body that a handler left unread is read to
// keep the connection; with more left it is cheaper to close.
const drainBytesMax = 256 << 10

// errBodyTooLarge says that a body of unknown length went over BodyBytesMax.
var errBodyTooLarge = errors.New("request body is too large")

// drainTimeout is how long a client may take for that, all in all: the child
// serves nobody else meanwhile.
const drainTimeout = 2 * time.Second

// readBody begins the errors of reads of a body.
const readBody = "read request body"

// continueLine asks for the body that a client holds back (RFC 9110, section
// 10.1.1).
const continueLine = "HTTP/1.1 100 Continue\r\n\r\n"

// body is a request's body. It knows where its end is: the library's own
// stream forgets, and would read on in the next request.
type body struct {
	x      *exchangeState
	source io.Reader // the library's; nil: no body
	left   int64     // how much more may come
	err    error     // what ended it: io.EOF at its end; sticky
	// awaited means that the client waits to be asked for the body.
	awaited bool
	// trailersFrom is the number of fields the library had before the
	// body's end; what it has more afterwards are trailers.
	trailersFrom int
}

// open starts on the body of x's request; known is its length, or -1.
func (b *body) open(x *exchangeState, known, limit int64, awaited bool) {
	request := &x.http.Request
	*b = body{x: x, source: request.BodyStream(), left: limit, awaited: awaited}
	switch {
	case b.source == nil || known == 0:
		b.err = io.EOF
	case known > 0:
		b.left = known
		// The library was told that there is none: see headerReceived.
		request.Header.SetContentLength(int(known))
	default:
		b.trailersFrom = countFields(&request.Header)
	}
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	b.ask()
	n, err := b.source.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		b.err = errBodyTooLarge
		return 0, b.err
	}
	b.err = b.cause(err)
	return n, b.err
}

// ask tells a client that holds the body back to send it.
func (b *body) ask() {
	if !b.awaited {
		return
	}
	b.awaited = false
	// Behind the start of the response it would be taken for a part of it.
	if !b.x.stream.on {
		_ = b.x.c.sendString(continueLine) // the read tells of a failure
	}
}

// cause is why the body ended when the library says err: io.EOF if it is
// whole. What the connection said is nearer to the truth than what the
// library makes of it: a chunk that breaks off can end in io.EOF there.
func (b *body) cause(err error) error {
	switch {
	case err == nil:
		return nil
	case b.x.c.readErr == io.EOF, err == io.EOF && b.trailersFrom == 0 && b.left > 0:
		err = io.ErrUnexpectedEOF
	case b.x.c.readErr != nil:
		err = b.x.c.readErr
	case err == io.EOF:
		if b.trailersFrom > 0 {
			b.takeTrailers()
		}
		return io.EOF
	}
	return fmt.Errorf(readBody+": %w", err)
}

// Remaining implements exchange.Sized.
func (b *body) Remaining() int64 {
	switch {
	case b.err == io.EOF:
		return 0
	case b.trailersFrom > 0, b.err != nil:
		return -1
	}
	return b.left
}

// failure is why the body could not be read, if so.
func (b *body) failure() error {
	if b.err == io.EOF {
		return nil
	}
	return b.err
}

// takeTrailers copies the trailers out of the header, to which the library
// adds them.
func (b *body) takeTrailers() {
	i := 0
	for name, value := range b.x.http.Request.Header.All() {
		if isName(name, "connection") {
			continue // comes last, and is no trailer
		}
		if i++; i > b.trailersFrom {
			// A trailer that is not allowed is dropped: RFC 9110, section 6.5.1.
			_ = b.x.requestTrailers.add(name, value)
		}
	}
}

// countFields counts the fields of h but Connection. It is at least 1 as a
// chunked request has a Transfer-Encoding.
func countFields(h *fasthttp.RequestHeader) int {
	n := 0
	for name := range h.All() {
		if !isName(name, "connection") {
			n++
		}
	}
	return n
}

// drainable reports whether the end may be worth reading on to. A client that
// was not asked for its body might send the next request in its place.
func (b *body) drainable() bool {
	known := b.trailersFrom == 0
	return b.err == nil && !b.awaited && !(known && b.left > drainBytesMax)
}

// drain reads what is left and reports whether the end was reached.
func (b *body) drain() bool {
	if b.drainable() {
		b.x.c.limitBody(b.x.c.server.drainTimeout)
		buf := make([]byte, 4<<10)
		for total := 0; b.err == nil && total <= drainBytesMax; {
			n, _ := b.Read(buf)
			total += n
		}
	}
	return b.err == io.EOF
}
