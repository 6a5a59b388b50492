package conn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/sdk/abi"
)

// Plugin serves connections with one module. Its methods may be called
// concurrently, except Close.
type Plugin struct {
	pool       guest.Pool
	serve      func(*session, *guest.Instance) (int32, error)
	config     map[string]string
	configJSON string
	limits     guest.Limits
	args       []string
	environ    []string
	warmUp     int
	trial      bool
	log        *slog.Logger
	sessions   sync.Pool
}

// Settings is what a plugin is made with.
type Settings struct {
	// Config is what config_get reads; ConfigJSON is all of it as one JSON
	// object.
	Config     map[string]string
	ConfigJSON []byte
	// Args are the guest's arguments, its name first; none is the plugin's name.
	// Environ is its environment, NAME=VALUE.
	Args, Environ []string
	// Isolation is what a run sees of those before it.
	Isolation guest.Isolation
	// CPUTimeout is how long the guest may run without calling the host, Timeout
	// how long a turn of it may take; 0 is without bound. A turn begins with the
	// connection, and with each read that has got something; the time of the reads
	// themselves is the client's and does not count.
	CPUTimeout, Timeout time.Duration
	// WarmUp is how many connections without data the guest serves before its
	// image is taken.
	WarmUp int
	// Trial means that nobody is served: what is odd is said, and here only.
	Trial bool
	// Logger carries the plugin's name.
	Logger *slog.Logger
}

// New makes a plugin of a module that speaks the conn ABI or the server ABI.
func New(m *guest.Module, set Settings) *Plugin {
	prepare, serve := prepareHandler, serveHandler
	if m.ABI() == ServerName {
		prepare, serve = prepareServer, serveServer
	}
	return &Plugin{
		pool:       guest.NewPool(m, prepare, set.Isolation),
		serve:      serve,
		config:     set.Config,
		configJSON: string(set.ConfigJSON),
		limits:     guest.NewLimits(set.CPUTimeout, set.Timeout),
		args:       m.Arguments(set.Args),
		environ:    set.Environ,
		warmUp:     set.WarmUp,
		trial:      set.Trial,
		log:        set.Logger,
	}
}

// Close ends the plugin. Nothing may be served any more.
func (p *Plugin) Close() error { return p.pool.Close() }

// Check prepares so many instances as for connections, which then wait for those.
// step is told before each part that runs guest code. The error says which part
// failed, such as "child_init returned 3".
func (p *Plugin) Check(ctx context.Context, instances int, step func(what string)) error {
	step("instantiate")
	s := &session{Context: ctx, plugin: p, step: step}
	defer s.end()
	return p.pool.Warm(s, instances)
}

// Reuse says in words how an instance becomes one for the next run.
func (p *Plugin) Reuse() string { return p.pool.Reuse() }

// prepareHandler brings a fresh instance into the state that every connection sees.
func prepareHandler(gs guest.Session, i *guest.Instance) (any, error) {
	s := gs.(*session)
	if start := i.Starter(); start != "" && s.step != nil {
		s.step(start)
	}
	if err := i.Initialize(s); err != nil {
		return nil, err
	}
	if err := childInit(s, i); err != nil {
		return nil, err
	}
	return nil, s.plugin.warm(s, i)
}

// childInit runs child_init, if there is one.
func childInit(s *session, i *guest.Instance) error {
	if !i.Exports(abi.ChildInit) {
		return nil
	}
	if s.step != nil {
		s.step(abi.ChildInit)
	}
	code, err := run(s, i, abi.ChildInit)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s returned %d", abi.ChildInit, code)
	}
	return err
}

// serveHandler serves the session's connection.
func serveHandler(s *session, i *guest.Instance) (int32, error) {
	return run(s, i, abi.ProcessConnection)
}

// run calls a function that takes nothing and returns an i32.
func run(s *session, i *guest.Instance, fn string) (int32, error) {
	s.stack[0] = 0
	err := i.Call(s, fn, s.stack[:])
	return int32(s.stack[0]), err
}

// ServeConn lets the guest serve c and logs how it went wrong, if so. id names
// the connection in logs and to the guest.
func (p *Plugin) ServeConn(ctx context.Context, c mpm.Conn, t Timeouts, id fmt.Stringer) {
	watch, _ := c.(mpm.Watched)
	guard := guest.NewGuard(watch, p.pool.Module().Name(), p.limits)
	s, ok := p.sessions.Get().(*session)
	if !ok {
		s = new(session)
	}
	*s = session{Context: ctx, Guard: guard, plugin: p, id: id, read: limit{fallback: t.Read}, write: limit{fallback: t.Write}}
	i, err := p.pool.Get(s)
	s.conn = c
	defer p.over(s)
	if err != nil {
		guest.LogFailure(ctx, s.log(), "guest could not be prepared", err)
		p.pool.Module().NoteCrash(err)
		return
	}
	c.SetState(mpm.StateWriting)
	code, err := p.serve(s, i)
	p.pool.Put(i, guest.EndOf(err))
	if f, ok := errors.AsType[*guest.Failure](err); ok && f.Kind == guest.Exited {
		code, err = int32(f.ExitCode), nil // exit and return mean the same here
	}
	switch {
	case guest.IsStopped(err):
		s.log().DebugContext(ctx, "client went away", "error", err)
	case err != nil:
		guest.LogFailure(ctx, s.log(), "guest failed", err)
		if !s.broken {
			p.pool.Module().NoteCrash(err)
		}
	case code != 0:
		s.log().WarnContext(ctx, "guest reported an error", "code", code)
	}
}

// over ends a session, whose memory is used again.
func (p *Plugin) over(s *session) {
	s.end()
	*s = session{}
	p.sessions.Put(s)
}
