package httpwasm

import (
	"errors"
	"io"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/sdk/abi"
)

// eof is the bit of read_body's result that says that nothing follows.
const eof = 1 << 32

// readBody implements abi.ReadBody. It fills the buffer unless the body ends
// before: there are guests that read once, and take a body without the
// end-of-file bit for one that is too long.
func readBody(c call) uint64 {
	buf := c.bytes(1)
	if len(buf) == 0 {
		c.abort("the buffer is empty")
	}
	from := c.bodyReader()
	waits := c.arg(0) == abi.BodyRequest && !c.s.bodyRead
	if waits {
		c.s.Pause()
	}
	n, err := readFull(from, buf)
	if waits {
		c.s.Resume()
	}
	c.s.EndOvertime()
	switch {
	case errors.Is(err, io.EOF):
		c.s.bodyRead = c.s.bodyRead || c.arg(0) == abi.BodyRequest
		return eof | uint64(n)
	case err != nil:
		c.ioFailed(err)
	}
	return uint64(n)
}

// readFull is like io.ReadFull, but says io.EOF also of an end behind some bytes
// or right behind the last that fits, if it is known already.
func readFull(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var more int
		more, err = r.Read(buf[n:])
		n += more
	}
	return n, err
}

// bodyReader is where the body of the kind in the first parameter comes from.
func (c call) bodyReader() io.Reader {
	c.exchange()
	s := c.s
	switch c.arg(0) {
	case abi.BodyRequest:
		c.beforeNextOr(abi.FeatureBufferRequest)
		switch {
		case s.request != nil && s.request.own:
			return s.request
		case s.features&abi.FeatureBufferRequest == 0:
			return (*takenBody)(s)
		}
		return (*keptBody)(s)
	case abi.BodyResponse:
		if s.phase != inResponse || s.response == nil {
			c.abort("no response is buffered")
		}
		return s.response
	}
	c.abort("unknown kind of body")
	return nil
}

// writeBody implements abi.WriteBody.
func writeBody(c call) uint64 {
	x, s, p := c.exchange(), c.s, c.bytes(1)
	switch c.arg(0) {
	case abi.BodyRequest:
		c.beforeNext()
		if s.request == nil {
			s.request = &buffer{}
		}
		c.hold(s.request, p)
	case abi.BodyResponse:
		c.beforeNextOr(abi.FeatureBufferResponse)
		if s.features&abi.FeatureBufferResponse != 0 {
			if s.response == nil {
				s.response = &buffer{}
			}
			c.hold(s.response, p)
			return 0
		}
		c.send(x, p)
	default:
		c.abort("unknown kind of body")
	}
	return 0
}

// send writes p to the response. The first write is held back, and waits for nobody;
// an empty one sends only that.
func (c call) send(x exchange.Exchange, p []byte) {
	s := c.s
	waits := s.wrote && (len(p) > 0 || !s.sends)
	if sink, ok := x.(exchange.Sink); ok && waits {
		waits = !sink.Dropping()
	}
	if waits {
		s.Pause()
	}
	_, err := x.Write(p)
	if waits {
		s.Resume()
	}
	if err != nil {
		c.ioFailed(err)
	}
	if s.wrote {
		s.EndOvertime()
	}
	s.wrote, s.sends = true, s.wrote
}

// hold adds p to a buffer of the session.
func (c call) hold(b *buffer, p []byte) {
	b.begin()
	if c.s.room() < uint64(len(p)) {
		c.abort("the buffered bodies are over the memory limit")
	}
	b.data = append(b.data, p...)
}
