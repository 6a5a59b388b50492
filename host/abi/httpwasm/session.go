package httpwasm

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/sdk/abi"
)

// session is one run of a guest: with a request, or the preparation of an
// instance without one. It is the context its host functions get.
type session struct {
	context.Context
	guest.Guard
	plugin   *Plugin
	x        exchange.Exchange // nil while an instance is prepared
	features uint32            // bits that enable_features has set
	phase    phase
	onward   exchange.Handler // the next one
	nextErr  error            // how it failed

	// request is what is kept of the request's body, or the guest's own.
	request *buffer
	// response is the response's body while it is held back.
	response *buffer
	// holding guards the length of both: the next handler may read the one on
	// another goroutine while it writes the other.
	holding sync.Mutex
	// taken is how much of the request's body the guest has read without leaving
	// it to the next handler.
	taken int64
	// bodyRead means that the request's body has been read to its end.
	bodyRead bool
	// wrote means that the guest has begun to answer, and it is not held back.
	wrote bool
	// sends means that it has written again, and nothing of that is held back.
	sends bool
	// unbound is until when the exchange waits while the guest does not run.
	unbound time.Time
	// ioErr is why a body could not be read or written: the client's doing.
	ioErr error

	// step is told what is about to run, during a check; else nil.
	step func(what string)

	budget  guest.LogBudget
	scratch []byte    // for lists of values
	stack   [2]uint64 // of a call
}

// phase is how far a request is. The ABI allows fewer changes after the next
// handler.
type phase int

const (
	preparing  phase = iota // no request yet
	inRequest               // handle_request runs
	inResponse              // the next handler has answered, handle_response runs
)

var _ guest.Session = (*session)(nil)

func sessionOf(ctx context.Context) *session {
	s, ok := ctx.(*session)
	if !ok {
		s = guest.SessionOf(ctx).(*session)
	}
	return s
}

// log is the plugin's logger, with the connection if there is one.
func (s *session) log() *slog.Logger { return guest.ConnectionLogger(s.Context, s.plugin.log) }

// GuestLine logs a line of the guest's output.
func (s *session) GuestLine(stream string, line []byte) {
	if s.plugin.log.Enabled(s.Context, slog.LevelInfo) && s.budget.Take(len(line)) {
		s.log().InfoContext(s.Context, "guest output", "stream", stream, "text", guest.LogText(line))
	}
}

// Args is the plugin's name and what it was given.
func (s *session) Args() []string { return s.plugin.args }

// Environ is what it was given.
func (s *session) Environ() []string { return s.plugin.environ }

// Module is what runs.
func (s *session) Module() *guest.Module { return s.plugin.pool.Module() }

// end logs what is known of a run at its end only.
func (s *session) end() { s.budget.LogDropped(s.Context, s.log) }

// bound bounds the waits of the exchange.
func (s *session) bound(until time.Time) (before time.Time) {
	if x, ok := s.x.(exchange.Bounded); ok {
		return x.Bound(until)
	}
	return time.Time{}
}

// exchange is the request; without one, the guest ends.
func (c call) exchange() exchange.Exchange {
	if c.s.x == nil {
		c.abort("there is no request yet")
	}
	return c.s.x
}

// beforeNext ends the guest if the next handler has run.
func (c call) beforeNext() {
	if c.s.phase == inResponse {
		c.abort("the next handler has already run")
	}
}

// beforeNextOr ends the guest if the next handler has run and the feature was
// not enabled before.
func (c call) beforeNextOr(feature uint32) {
	if c.s.features&feature == 0 {
		c.beforeNext()
	}
}

// buffer is a body that the host holds for the guest.
type buffer struct {
	data []byte
	read int  // bytes that were read
	own  bool // the guest wrote it: further writes append
	over bool // a piece of it did not fit, and is lost
}

// begin makes the buffer the guest's, without what others wrote.
func (b *buffer) begin() {
	if !b.own {
		*b = buffer{own: true}
	}
}

// held is how many bytes the buffer has.
func (b *buffer) held() uint64 {
	if b == nil {
		return 0
	}
	return uint64(len(b.data))
}

// room is how much more may be held. The buffers of a session have one limit,
// which keeps a guest from filling the host's memory instead of its own.
func (s *session) room() uint64 {
	held := s.request.held() + s.response.held()
	return s.plugin.bodyBytesMax - min(held, s.plugin.bodyBytesMax)
}

// Read reads what was not read yet.
func (b *buffer) Read(p []byte) (int, error) {
	n := copy(p, b.data[b.read:])
	b.read += n
	if b.read == len(b.data) {
		return n, io.EOF
	}
	return n, nil
}

// Remaining implements exchange.Sized.
func (b *buffer) Remaining() int64 {
	if b == nil {
		return 0
	}
	return int64(len(b.data) - b.read)
}

// enableFeatures implements abi.EnableFeatures. What a guest enables while it
// is prepared holds for every request, anything later for that request. What
// should have been held back before the next handler ran cannot be enabled
// after it: the response has been sent.
func enableFeatures(c call) uint64 {
	features := c.arg(0) & supportedFeatures
	if c.s.phase == inResponse {
		features &^= abi.FeatureBufferRequest | abi.FeatureBufferResponse
	}
	c.s.features |= features
	return uint64(c.s.features)
}

// supportedFeatures are all that the ABI has.
const supportedFeatures = abi.FeatureBufferRequest | abi.FeatureBufferResponse | abi.FeatureTrailers
