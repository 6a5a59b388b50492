package web

import (
	"fmt"
	"math"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/apphost/apphost/host/exchange"
)

// The library wants a response after the handler has returned, whereas a
// handler that streams wants its bytes sent while it runs. The library's
// ways out are a goroutine and a pipe for each response, or a coroutine for
// each connection. Here the handler simply writes to the connection: on its
// second Write we send the library's rendering of the header ourselves, then
// each piece, framed; and when the handler has returned, the library's own
// answer to the request, an empty one, is dropped (conn.muted) until it says
// that it is done with the request. There is nothing to leak when the client
// goes away, no stack to grow for each connection, and a handler's panic is
// not caught on its way, as it would be in the library's body writer. A
// coroutine would also cost each request, streamed or not, two switches: 65 ns
// next to the 1500 ns of a request (BenchmarkCoroutine, BenchmarkRequest).

// unlimited is the room of a stream whose length nobody said.
const unlimited = math.MaxInt64

// chunkSizeBytes is the room for the longest chunk size and its line end.
const chunkSizeBytes = 18

// stream is a response on its way.
type stream struct {
	on      bool
	chunked bool
	silent  bool  // there is no body: HEAD, 204, 304
	left    int64 // how much the Content-Length still lets through
	length  int64 // the Content-Length, where left is limited
}

// startStream sends the header; length is that of the body, or -1.
func (x *exchangeState) startStream(length int64) {
	http11 := x.http.Request.Header.IsHTTP11()
	x.stream = stream{on: true, silent: !x.bodyAllowed(), left: unlimited}
	x.fillHeader()
	h := &x.http.Response.Header
	switch {
	case x.stream.silent:
		// The length that a GET would have got, unless the handler knows better.
		if length >= 0 && x.http.IsHead() && x.declaredLength() < 0 && x.status != fasthttp.StatusNoContent && x.status != fasthttp.StatusNotModified {
			h.SetContentLength(int(length))
		}
	case length >= 0:
		x.stream.left, x.stream.length = length, length
		h.SetContentLength(int(length))
	case http11:
		x.stream.chunked = true
		h.SetContentLength(-1)
	default:
		// The end of the connection is the end of the response (RFC 9112,
		// section 6.3).
		x.close = true
	}
	// From here on nobody can ask for a body, which then comes or does not.
	x.close = x.close || x.c.Stopping() || x.body.awaited
	if x.close {
		h.SetConnectionClose()
	} else if !http11 {
		h.Add(fasthttp.HeaderConnection, "keep-alive")
	}
	_ = x.c.sendHeader(h.Header()) // a failure is kept by the connection
}

// writeStream adds p to the output as the next piece of the body.
func (x *exchangeState) writeStream(p []byte) error {
	if x.c.err != nil {
		return fmt.Errorf("write response: %w", x.c.err)
	}
	if x.lengthErr != nil {
		return x.lengthErr
	}
	s := &x.stream
	if s.silent || len(p) == 0 {
		return nil
	}
	if int64(len(p)) > s.left {
		return x.tooLong(s.length-s.left+int64(len(p)), s.length)
	}
	if s.left != unlimited {
		s.left -= int64(len(p))
	}
	x.bodySent += int64(len(p))
	if !s.chunked {
		return x.c.send(p)
	}
	if err := x.c.makeRoom(chunkSizeBytes); err != nil {
		return err
	}
	x.c.out = strconv.AppendUint(x.c.out, uint64(len(p)), 16)
	x.c.out = append(x.c.out, "\r\n"...)
	if err := x.c.send(p); err != nil {
		return err
	}
	return x.c.sendString("\r\n")
}

// tooLong is why a body of length bytes or more is refused. Nothing can mend the
// response after it.
func (x *exchangeState) tooLong(length, declared int64) error {
	x.lengthErr = fmt.Errorf("%w: it has %d bytes or more, and not %d", exchange.ErrLength, length, declared)
	return x.lengthErr
}

// LengthError implements exchange.Measurer.
func (x *exchangeState) LengthError() error {
	s := &x.stream
	if x.lengthErr == nil && s.on && s.left != unlimited && s.left > 0 {
		return fmt.Errorf("%w: it has %d bytes, and not %d", exchange.ErrLength, s.length-s.left, s.length)
	}
	return x.lengthErr
}

// endStream ends the response, or cuts it off after an error.
func (x *exchangeState) endStream(err error) {
	s := &x.stream
	if err != nil {
		x.c.cut(x.body.failure())
		return
	}
	if s.chunked {
		_ = x.c.sendString("0\r\n") // failures are kept by the connection
		for _, f := range x.responseTrailers.fields {
			_ = x.c.send(f.name)
			_ = x.c.sendString(": ")
			_ = x.c.send(f.value)
			_ = x.c.sendString("\r\n")
		}
		_ = x.c.sendString("\r\n")
	}
	x.c.muted = true // the library writes its header once more
	if x.close {
		x.http.Response.SetConnectionClose()
	}
}
