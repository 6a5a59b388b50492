package web

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// The library wants a response after the handler has returned, whereas a
// handler that streams wants its bytes sent while it runs. The library's
// ways out are a goroutine and a pipe for each response, or a coroutine for
// each connection. Here the handler simply writes to the connection: on its
// second Write we send the library's rendering of the header ourselves, then
// each piece, framed; and when the handler has returned, the library's own
// answer to the request, an empty one, is dropped (conn.muted) until it says
// that it is done with the request. No switch of stacks, nothing to leak when
// the client goes away, and a handler's panic is not caught on its way.

// unlimited is the room of a stream whose length nobody said.
const unlimited = math.MaxInt64

// errTooLong refuses more than the Content-Length the handler set.
var errTooLong = errors.New("write response: longer than its Content-Length")

// stream is a response on its way.
type stream struct {
	on      bool
	chunked bool
	silent  bool  // there is no body: HEAD, 204, 304
	left    int64 // how much the Content-Length still lets through
}

// startStream sends the header.
func (x *exchangeState) startStream() {
	length := x.declaredLength()
	http11 := x.http.Request.Header.IsHTTP11()
	x.stream = stream{on: true, silent: !x.bodyAllowed(), left: unlimited}
	x.fillHeader()
	h := &x.http.Response.Header
	switch {
	case x.stream.silent:
	case length >= 0:
		x.stream.left = length
		h.SetContentLength(int(length))
	case http11:
		x.stream.chunked = true
		h.SetContentLength(-1)
	default:
		// The end of the connection is the end of the response (RFC 9112,
		// section 6.3).
		x.close = true
	}
	if x.close = x.close || x.c.Stopping(); x.close {
		h.SetConnectionClose()
	} else if !http11 {
		h.Add("Connection", "keep-alive")
	}
	_ = x.c.send(h.Header()) // a failure is kept by the connection
}

// writeStream adds p to the output as the next piece of the body.
func (x *exchangeState) writeStream(p []byte) error {
	if x.c.err != nil {
		return fmt.Errorf("write response: %w", x.c.err)
	}
	s := &x.stream
	if s.silent || len(p) == 0 {
		return nil
	}
	if int64(len(p)) > s.left {
		return errTooLong
	}
	if s.left != unlimited {
		s.left -= int64(len(p))
	}
	if !s.chunked {
		return x.c.send(p)
	}
	var size [18]byte
	line := append(strconv.AppendUint(size[:0], uint64(len(p)), 16), '\r', '\n')
	if err := x.c.send(line); err != nil {
		return err
	}
	if err := x.c.send(p); err != nil {
		return err
	}
	return x.c.send([]byte("\r\n"))
}

// endStream ends the response, or cuts it off if it is not whole.
func (x *exchangeState) endStream(err error) {
	s := &x.stream
	short := s.left != unlimited && s.left > 0
	if err != nil || short {
		x.c.cut()
		return
	}
	if s.chunked {
		_ = x.c.send([]byte("0\r\n")) // failures are kept by the connection
		for _, f := range x.responseTrailers.fields {
			for _, part := range [...][]byte{f.name, []byte(": "), f.value, []byte("\r\n")} {
				_ = x.c.send(part)
			}
		}
		_ = x.c.send([]byte("\r\n"))
	}
	x.c.muted = true
	x.http.Response.Reset()
	if x.close {
		x.http.Response.SetConnectionClose()
	}
}

// drainBody reads what the handler left of the request, and reports whether
// the connection can go on.
func (x *exchangeState) drainBody() bool {
	var buf [4 << 10]byte
	return x.body.drain(buf[:])
}
