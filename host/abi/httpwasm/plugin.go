package httpwasm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/guest"
)

// Plugin answers requests with one module. Its methods may be called
// concurrently, except Close.
type Plugin struct {
	pool         guest.Pool
	configJSON   []byte
	limits       guest.Limits
	args         []string
	environ      []string
	warmUp       string
	trial        bool
	log          *slog.Logger
	bodyBytesMax uint64 // of the bodies held back for a request, the plugin's memory limit
	sessions     sync.Pool
}

var _ exchange.Link = (*Plugin)(nil)

// Settings is what a plugin is made with.
type Settings struct {
	// ConfigJSON is what get_config reads.
	ConfigJSON []byte
	// Args are the guest's arguments, its name first; none is the plugin's name.
	// Environ is its environment, NAME=VALUE.
	Args, Environ []string
	// Isolation is what a run sees of those before it.
	Isolation guest.Isolation
	// CPUTimeout is how long the guest may run without calling the host, Timeout
	// how long it may take for a request, without the time of what is behind it in
	// a chain; 0 is without bound.
	CPUTimeout, Timeout time.Duration
	// WarmUp is the path of a request that the guest answers before its image is
	// taken; empty is none.
	WarmUp string
	// Trial means that nobody is served: what is odd is said, and here only.
	Trial bool
	// Logger carries the plugin's name.
	Logger *slog.Logger
}

// New makes a plugin of a module that speaks the http-wasm ABI.
func New(m *guest.Module, set Settings) *Plugin {
	return &Plugin{
		pool:         guest.NewPool(m, prepare, set.Isolation),
		configJSON:   set.ConfigJSON,
		limits:       guest.NewLimits(set.CPUTimeout, set.Timeout),
		args:         m.Arguments(set.Args),
		environ:      set.Environ,
		warmUp:       set.WarmUp,
		trial:        set.Trial,
		log:          set.Logger,
		bodyBytesMax: m.MemoryLimitBytes(),
	}
}

// Close ends the plugin. Nothing may be served any more.
func (p *Plugin) Close() error { return p.pool.Close() }

// Check prepares so many instances as for requests, which then wait for those.
// step is told before guest code runs.
func (p *Plugin) Check(ctx context.Context, instances int, step func(what string)) error {
	step("instantiate")
	s := &session{Context: ctx, plugin: p, step: step}
	defer s.end()
	return p.pool.Warm(s, instances)
}

// Reuse says in words how an instance becomes one for the next run.
func (p *Plugin) Reuse() string { return p.pool.Reuse() }

// prepare brings a fresh instance into the state that every request sees. It
// returns the features that were enabled, a uint32.
func prepare(gs guest.Session, i *guest.Instance) (any, error) {
	s := gs.(*session)
	if start := i.Starter(); start != "" && s.step != nil {
		s.step(start)
	}
	if err := i.Initialize(s); err != nil {
		return nil, err
	}
	return s.features, s.plugin.warm(s, i)
}

// Serve runs the guest for x. There is no next handler.
func (p *Plugin) Serve(ctx context.Context, x exchange.Exchange) error {
	return p.ServeWith(ctx, x, notFound{})
}

// ServeWith runs the guest for x; next is called if it asks for the next
// handler.
func (p *Plugin) ServeWith(ctx context.Context, x exchange.Exchange, next exchange.Handler) error {
	guard := guest.NewGuard(guest.WatchOf(ctx), p.pool.Module().Name(), p.limits)
	s := p.session()
	s.Context, s.Guard, s.plugin, s.onward = ctx, guard, p, next
	defer p.over(s)
	i, err := p.pool.Get(s)
	if err != nil {
		guest.LogFailure(ctx, s.log(), "guest could not be prepared", err)
		p.noteCrash(err)
		return timeoutOf(err)
	}
	s.x, s.phase, s.features = x, inRequest, i.Prepared.(uint32)
	s.unbound = s.bound(s.Until())
	err = s.serve(i)
	s.bound(s.unbound)
	p.pool.Put(i, guest.EndOf(err))
	if f, ok := errors.AsType[*guest.Failure](err); ok && f.Kind == guest.Exited && f.ExitCode == 0 {
		err = s.finish() // exit with 0 means that the response is complete
	}
	if x, ok := x.(exchange.Measurer); ok && err == nil && s.nextErr == nil {
		err = x.LengthError()
	}
	switch {
	case err == nil:
		return s.nextErr // whoever failed has logged it
	case guest.IsOvertime(err): // also if it was a read or write that waited
		guest.LogFailure(ctx, s.log(), "guest failed", err)
	case s.ioErr != nil:
		s.log().DebugContext(ctx, "client went away", "error", s.ioErr)
	default:
		guest.LogFailure(ctx, s.log(), "guest failed", err)
		p.noteCrash(err)
	}
	return timeoutOf(err)
}

// timeoutOf is err, as an exchange.ErrTimeout if the guest took too long.
func timeoutOf(err error) error {
	if guest.IsOvertime(err) {
		return fmt.Errorf("%w: %w", exchange.ErrTimeout, err)
	}
	return err
}

// noteCrash counts a run that returned err, if it crashed. An exit in the middle
// of a request is how language runtimes do that, such as Go's.
func (p *Plugin) noteCrash(err error) {
	if f, ok := errors.AsType[*guest.Failure](err); ok && f.Kind == guest.Exited && f.ExitCode != 0 {
		p.pool.Module().Crashed()
		return
	}
	p.pool.Module().NoteCrash(err)
}

// session is one with nothing in it, but for memory that it can use.
func (p *Plugin) session() *session {
	if s, ok := p.sessions.Get().(*session); ok {
		return s
	}
	return new(session)
}

// over ends a session. Its memory is used again unless the next handler had the
// request, which may still read it on another goroutine.
func (p *Plugin) over(s *session) {
	s.end()
	if s.phase != inRequest || cap(s.scratch) > scratchBytesKept {
		return
	}
	*s = session{scratch: s.scratch[:0]}
	p.sessions.Put(s)
}

// scratchBytesKept is the largest scratch memory that outlives a request.
const scratchBytesKept = 64 << 10
