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
	cpuTimeout time.Duration
	args       []string
	environ    []string
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
	// CPUTimeout is how long the guest may run without calling the host; 0 is
	// without bound.
	CPUTimeout time.Duration
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
		cpuTimeout: set.CPUTimeout,
		args:       m.Arguments(set.Args),
		environ:    set.Environ,
		log:        set.Logger,
	}
}

// Close ends the plugin. Nothing may be served any more.
func (p *Plugin) Close() error { return p.pool.Close() }

// Check prepares one instance as for a connection and drops it. step is told
// before each part that runs guest code. The error says which part failed,
// such as "child_init returned 3".
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

// prepareHandler brings a fresh instance into the state that every connection sees.
func prepareHandler(gs guest.Session, i *guest.Instance) (any, error) {
	s := gs.(*session)
	if start := i.Starter(); start != "" && s.step != nil {
		s.step(start)
	}
	if err := i.Initialize(s); err != nil {
		return nil, err
	}
	if !i.Exports(abi.ChildInit) {
		return nil, nil
	}
	if s.step != nil {
		s.step(abi.ChildInit)
	}
	code, err := run(s, i, abi.ChildInit)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s returned %d", abi.ChildInit, code)
	}
	return nil, err
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
	guard := guest.NewGuard(watch, p.pool.Module().Name(), p.cpuTimeout)
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
