package httpwasm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/sdk/abi"
)

// Plugin answers requests with one module. Its methods may be called
// concurrently, except Close.
type Plugin struct {
	pool         guest.Pool
	configJSON   []byte
	log          *slog.Logger
	bodyBytesMax uint64 // of the bodies held back for a request, the plugin's memory limit
}

var _ exchange.Handler = (*Plugin)(nil)

// Settings is what a plugin is made with.
type Settings struct {
	// ConfigJSON is what get_config reads.
	ConfigJSON []byte
	// Logger carries the plugin's name.
	Logger *slog.Logger
}

// New makes a plugin of a module that speaks the http-wasm ABI.
func New(m *guest.Module, set Settings) *Plugin {
	return &Plugin{
		pool:         guest.NewPool(m, prepare),
		configJSON:   set.ConfigJSON,
		log:          set.Logger,
		bodyBytesMax: m.MemoryLimitBytes(),
	}
}

// Close ends the plugin. Nothing may be served any more.
func (p *Plugin) Close() error { return p.pool.Close() }

// Check prepares one instance as for a request and drops it. step is told
// before guest code runs.
func (p *Plugin) Check(ctx context.Context, step func(what string)) error {
	step("instantiate")
	s := &session{Context: ctx, plugin: p, step: step}
	defer s.end()
	i, err := p.pool.Get(s)
	if err != nil {
		return err
	}
	p.pool.Put(i, guest.Returned)
	return nil
}

// prepare brings a fresh instance into the state that every request sees. It
// returns the features that were enabled, a uint32.
func prepare(gs guest.Session, i *guest.Instance) (any, error) {
	s := gs.(*session)
	if start := i.Starter(); start != "" && s.step != nil {
		s.step(start)
	}
	err := i.Initialize(s)
	return s.features, err
}

// Serve runs the guest for x.
func (p *Plugin) Serve(ctx context.Context, x exchange.Exchange) error {
	s := &session{Context: ctx, plugin: p}
	defer s.end()
	i, err := p.pool.Get(s)
	if err != nil {
		guest.LogFailure(ctx, s.log(), "guest could not be prepared", err)
		return err
	}
	s.x, s.phase, s.features = x, inRequest, i.Prepared.(uint32)
	err = s.serve(i)
	p.pool.Put(i, guest.EndOf(err))
	if f, ok := errors.AsType[*guest.Failure](err); ok && f.Kind == guest.Exited && f.ExitCode == 0 {
		err = s.finish() // exit with 0 means that the response is complete
	}
	switch {
	case err == nil:
		return nil
	case s.ioErr != nil:
		s.log().DebugContext(ctx, "client went away", "error", s.ioErr)
	default:
		guest.LogFailure(ctx, s.log(), "guest failed", err)
	}
	return err
}

// errAnsweredTwice is a guest's mistake.
var errAnsweredTwice = errors.New("handle_request wrote a response and also asked for the next handler")

// serve runs handle_request and, if the guest asks for the next handler, what
// follows.
func (s *session) serve(i *guest.Instance) error {
	var stack [2]uint64
	if err := i.Call(s, abi.HandleRequest, stack[:]); err != nil {
		return err
	}
	const next = 1
	ctxNext := stack[0] // the guest's context in the upper half, next in the lower
	if ctxNext&math.MaxUint32 != next {
		return nil
	}
	requestCtx := ctxNext >> 32
	if s.wrote {
		return errAnsweredTwice
	}
	if err := s.next(); err != nil {
		return err
	}
	if i.Exports(abi.HandleResponse) {
		const isError = 0
		stack = [2]uint64{requestCtx, isError}
		if err := i.Call(s, abi.HandleResponse, stack[:]); err != nil {
			return err
		}
	}
	return s.finish()
}

// next answers in the place of a next handler, of which there is none. The
// body is held back if the guest may want to replace it.
func (s *session) next() error {
	s.phase = inResponse
	if err := s.x.SetStatus(404); err != nil {
		return fmt.Errorf("answer that there is no next handler: %w", err)
	}
	if err := s.x.Header(exchange.Response).Set([]byte("Content-Type"), []byte("text/plain; charset=utf-8")); err != nil {
		return fmt.Errorf("answer that there is no next handler: %w", err)
	}
	s.response = &buffer{data: []byte("not found\n")}
	if s.features&abi.FeatureBufferResponse == 0 {
		return s.finish()
	}
	return nil
}

// finish sends what was held back of the response.
func (s *session) finish() error {
	if s.response == nil {
		return nil
	}
	_, err := s.x.Write(s.response.data)
	s.ioErr, s.response = err, nil
	return err
}
