package web

import (
	"errors"
	"fmt"
	"io"

	"github.com/valyala/fasthttp"
)

// drainBytesMax is how much of a body that a handler left unread is read to
// keep the connection; with more left it is cheaper to close.
const drainBytesMax = 256 << 10

// errBodyTooLarge says that a body of unknown length went over BodyBytesMax.
var errBodyTooLarge = errors.New("request body is too large")

// body is a request's body. It knows where its end is: the library's own
// stream forgets, and would read on in the next request.
type body struct {
	source io.Reader // the library's; nil: no body
	left   int64     // how much more may come
	err    error     // what ended it: io.EOF at its end; sticky
	// trailersFrom is the number of fields the library had before the
	// body's end; what it has more afterwards are trailers.
	trailersFrom int
	header       *fasthttp.RequestHeader
	trailers     *block
}

// open starts on the body of a request; known is its length, or -1.
func (b *body) open(r *fasthttp.Request, known, limit int64, trailers *block) {
	*b = body{source: r.BodyStream(), left: limit, header: &r.Header, trailers: trailers}
	switch {
	case b.source == nil || known == 0:
		b.err = io.EOF
	case known > 0:
		b.left = known
	default:
		b.trailersFrom = countFields(b.header)
	}
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.source.Read(p)
	b.left -= int64(n)
	switch {
	case b.left < 0:
		b.err = errBodyTooLarge
		return 0, b.err
	case err == io.EOF && b.trailersFrom > 0:
		b.takeTrailers()
	case err == io.EOF && b.left > 0:
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("read request body: %w", err)
	}
	b.err = err
	return n, err
}

// takeTrailers copies the trailers out of the header, to which the library
// adds them.
func (b *body) takeTrailers() {
	i := 0
	for name, value := range b.header.All() {
		if isName(name, "connection") {
			continue // comes last, and is no trailer
		}
		if i++; i > b.trailersFrom {
			// A trailer that is not allowed is dropped: RFC 9110, section 6.5.1.
			_ = b.trailers.add(name, value)
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

// drain reads what is left and reports whether the end was reached.
func (b *body) drain() bool {
	known := b.trailersFrom == 0
	if b.err == nil && known && b.left > drainBytesMax {
		return false
	}
	buf := make([]byte, 4<<10)
	for total := 0; b.err == nil && total <= drainBytesMax; {
		n, _ := b.Read(buf)
		total += n
	}
	return b.err == io.EOF
}
