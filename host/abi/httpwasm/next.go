package httpwasm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/sdk/abi"
)

var (
	// errAnsweredTwice is a guest's mistake.
	errAnsweredTwice = errors.New("handle_request wrote a response and also asked for the next handler")
	// errTooMuchHeld is what a handler gets whose response is held back.
	errTooMuchHeld = errors.New("the buffered bodies are over the memory limit of the plugin that holds them back")
)

// serve runs handle_request and, if the guest asks for it, the next handler and
// then handle_response.
func (s *session) serve(i *guest.Instance) error {
	if err := i.Call(s, abi.HandleRequest, s.stack[:]); err != nil {
		return err
	}
	const next = 1
	ctxNext := s.stack[0] // the guest's context in the upper half, next in the lower
	if ctxNext&math.MaxUint32 != next {
		return s.finish()
	}
	if s.wrote {
		return errAnsweredTwice
	}
	s.Rest()
	s.bound(s.unbound)
	s.next()
	s.Work(false)
	s.bound(s.Until())
	if i.Exports(abi.HandleResponse) {
		isError := uint64(0)
		if s.nextErr != nil {
			isError = 1
		}
		s.stack = [2]uint64{ctxNext >> 32, isError}
		if err := i.Call(s, abi.HandleResponse, s.stack[:]); err != nil {
			return err
		}
	}
	return s.finish()
}

// next lets the next handler answer. Held back, its response comes behind what
// the guest wrote already.
func (s *session) next() {
	s.phase = inResponse
	if s.features&abi.FeatureBufferResponse != 0 && s.response == nil {
		s.response = &buffer{}
	}
	s.rewind()
	s.measure()
	s.nextErr = s.onward.Serve(s.Context, &passed{s.x, s})
	s.rewind() // the guest may read it again
	if s.response != nil {
		s.response.own = false // what the guest writes now replaces it
	}
	if s.nextErr != nil && s.response != nil {
		s.failed()
	}
}

// rewind goes back to the start of what is kept of the request's body.
func (s *session) rewind() {
	if s.request != nil {
		s.request.read = 0
	}
}

// measure makes the request's Content-Length that of the body which the next
// handler gets: a program reads so much, and a proxy sends so much. Of a body
// that came in chunks, the length is told if the guest has written it.
func (s *session) measure() {
	header, name, length := s.x.Header(exchange.Request), []byte("Content-Length"), int64(-1)
	if s.request != nil && s.request.own {
		length = int64(len(s.request.data))
		_ = header.Remove([]byte("Transfer-Encoding"))
	} else if s.taken > 0 {
		header.Values(name, func(value []byte) bool {
			if n, err := strconv.ParseInt(string(value), 10, 64); err == nil {
				length = max(0, n-s.taken)
			}
			return false
		})
	}
	if length >= 0 {
		_ = header.Set(name, strconv.AppendInt(nil, length, 10))
	}
}

// failed puts a plain answer in the place of what a handler that failed has
// left, for the guest to change.
func (s *session) failed() {
	header := s.x.Header(exchange.Response)
	var names [][]byte
	header.Names(func(name []byte) bool {
		names = append(names, append([]byte(nil), name...))
		return true
	})
	for _, name := range names {
		_ = header.Remove(name) // nothing of it was sent
	}
	status := http.StatusInternalServerError
	if errors.Is(s.nextErr, exchange.ErrTimeout) {
		status = http.StatusGatewayTimeout
	}
	_ = s.x.SetStatus(status)
	_ = header.Set([]byte("Content-Type"), []byte("text/plain; charset=utf-8"))
	s.response = &buffer{data: fmt.Appendf(nil, "%d %s\n", status, http.StatusText(status))}
}

// finish sends what was held back of the response. With that it is no longer
// of interest that the next handler failed.
func (s *session) finish() error {
	if s.response == nil {
		return nil
	}
	if s.response.own {
		// It is not as long as what it replaces, which a HEAD would still tell.
		_ = s.x.Header(exchange.Response).Remove([]byte("Content-Length"))
	}
	_, err := s.x.Write(s.response.data)
	s.response, s.nextErr = nil, nil
	if !errors.Is(err, exchange.ErrLength) {
		s.ioErr = err
	}
	return err
}

var (
	_ exchange.Duplexer = (*passed)(nil)
	_ exchange.Measurer = (*passed)(nil)
	_ exchange.Sink     = (*passed)(nil)
	_ exchange.Upgrader = (*passed)(nil)
	_ exchange.Bounded  = (*passed)(nil)
)

// passed is the exchange as the next handler sees it. It is no exchange.Rerouter:
// the guest is told of the answer to this request, and not of another one's.
type passed struct {
	exchange.Exchange
	s *session
}

// Body is the body that the guest wrote, or what it has left of the client's,
// or all of that if it is buffered.
func (p *passed) Body() io.Reader {
	switch {
	case p.s.request != nil && p.s.request.own:
		return p.s.request
	case p.s.features&abi.FeatureBufferRequest != 0:
		return (*keptBody)(p.s)
	}
	return p.Exchange.Body()
}

// Write holds back what the guest wants to see first.
func (p *passed) Write(b []byte) (int, error) {
	if p.s.response == nil {
		return p.Exchange.Write(b)
	}
	p.s.holding.Lock()
	defer p.s.holding.Unlock()
	if p.s.room() < uint64(len(b)) {
		return 0, errTooMuchHeld
	}
	p.s.response.data = append(p.s.response.data, b...)
	return len(b), nil
}

// LengthError passes on what the exchange knows, unless the guest may still write
// another response.
func (p *passed) LengthError() error {
	if x, ok := p.Exchange.(exchange.Measurer); ok && p.s.response == nil {
		return x.LengthError()
	}
	return nil
}

// Dropping passes on what the exchange knows.
func (p *passed) Dropping() bool {
	x, ok := p.Exchange.(exchange.Sink)
	return ok && p.s.response == nil && x.Dropping()
}

// takenBody is a request's body that is read without keeping it.
type takenBody session

func (b *takenBody) Read(p []byte) (int, error) {
	n, err := b.x.Body().Read(p)
	b.taken += int64(n)
	return n, err
}

// Bound passes on what the exchange can do.
func (p *passed) Bound(until time.Time) (before time.Time) {
	if x, ok := p.Exchange.(exchange.Bounded); ok {
		return x.Bound(until)
	}
	return time.Time{}
}

// Duplex passes on what the exchange can do.
func (p *passed) Duplex() (exchange.Duplex, error) {
	if x, ok := p.Exchange.(exchange.Duplexer); ok {
		return x.Duplex()
	}
	return nil, exchange.ErrUnsupported
}

// CanUpgrade reports whether the exchange can, and the guest does not want to
// see the response first.
func (p *passed) CanUpgrade() bool {
	x, ok := p.Exchange.(exchange.Upgrader)
	return ok && p.s.response == nil && x.CanUpgrade()
}

// Upgrade passes on what the exchange can do.
func (p *passed) Upgrade(protocol []byte, then func(exchange.Stream)) error {
	if !p.CanUpgrade() {
		return exchange.ErrUnsupported
	}
	return p.Exchange.(exchange.Upgrader).Upgrade(protocol, then)
}

// keptBody is a request's body that is kept while it is read.
type keptBody session

func (b *keptBody) Read(p []byte) (int, error) {
	if b.request == nil {
		b.request = &buffer{}
	}
	if kept := b.request; kept.read < len(kept.data) {
		n := copy(p, kept.data[kept.read:])
		kept.read += n
		return n, nil
	}
	if b.request.over {
		return 0, errTooMuchHeld
	}
	n, err := b.x.Body().Read(p)
	b.holding.Lock()
	defer b.holding.Unlock()
	if (*session)(b).room() < uint64(n) {
		b.request.over = true
		return 0, errTooMuchHeld
	}
	b.request.data = append(b.request.data, p[:n]...)
	b.request.read += n
	return n, err
}

// Remaining implements exchange.Sized.
func (b *keptBody) Remaining() int64 {
	rest, ok := b.x.Body().(exchange.Sized)
	if !ok || rest.Remaining() < 0 {
		return -1
	}
	return b.request.Remaining() + rest.Remaining()
}

// notFound answers in the place of a next handler.
type notFound struct{}

func (notFound) Serve(_ context.Context, x exchange.Exchange) error {
	if err := x.SetStatus(http.StatusNotFound); err != nil {
		return fmt.Errorf("answer that there is no next handler: %w", err)
	}
	if err := x.Header(exchange.Response).Set([]byte("Content-Type"), []byte("text/plain; charset=utf-8")); err != nil {
		return fmt.Errorf("answer that there is no next handler: %w", err)
	}
	_, err := x.Write([]byte("404 Not Found\n"))
	return err
}
