package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/sdk/abi"
)

// Plugin runs one program. Its methods may be called concurrently, except
// Close.
type Plugin struct {
	pool  guest.Pool
	set   Settings
	entry string

	connLimits, requestLimits guest.Limits
}

// Settings is what a plugin is made with.
type Settings struct {
	// CPUTimeout is how long the program may run without calling the host; 0 is
	// without bound.
	CPUTimeout time.Duration
	// RequestTimeout is how long a run for a request may take, ConnTimeout how
	// long a turn of a run on a connection; 0 is without bound. A turn begins with
	// the connection, and with each read that has got something; the time of the
	// reads themselves is the client's and does not count.
	RequestTimeout, ConnTimeout time.Duration
	// Entrypoint is the function that a run begins at; empty is main.
	Entrypoint string
	// Args are the program's arguments, its name first. None is the plugin's name
	// on a connection, and for a request its path and the parts of its query.
	// In others the request's are put for scriptName and queryArgs.
	Args []string
	// Environ is its environment, NAME=VALUE. What a connection or a request says
	// of itself wins.
	Environ []string
	// Logger carries the plugin's name.
	Logger *slog.Logger
}

// New makes a plugin of a module that is a program.
func New(m *guest.Module, set Settings) *Plugin {
	p := &Plugin{
		set: set, entry: cmp.Or(set.Entrypoint, abi.Start),
		connLimits: guest.NewLimits(set.CPUTimeout, set.ConnTimeout), requestLimits: guest.NewLimits(set.CPUTimeout, set.RequestTimeout),
	}
	if p.entry == abi.Start || !m.Exports(abi.Initialize) {
		p.pool = guest.NewPool(m, func(guest.Session, *guest.Instance) (any, error) { return nil, nil }, guest.Fresh)
		return p
	}
	// A library, whose functions rely on this. It may read the environment already,
	// which is of one request.
	p.pool = guest.NewPool(m, func(s guest.Session, i *guest.Instance) (any, error) {
		s.(*session).bind()
		return nil, i.Call(s, abi.Initialize, nil)
	}, guest.Own)
	return p
}

// Close ends the plugin. Nothing may be served any more.
func (p *Plugin) Close() error { return p.pool.Close() }

// Check makes so many instances, which then wait to be used. It does not run
// main, which would want its input.
func (p *Plugin) Check(ctx context.Context, instances int, step func(what string)) error {
	step("instantiate")
	s := &session{Context: ctx, plugin: p, log: p.set.Logger}
	defer s.end()
	return p.pool.Warm(s, instances)
}

// Reuse says in words how an instance becomes one for the next run.
func (p *Plugin) Reuse() string { return p.pool.Reuse() }

func (p *Plugin) guard(watch mpm.Watched, limits guest.Limits) guest.Guard {
	return guest.NewGuard(watch, p.pool.Module().Name(), limits)
}

// session is one run of a program. It is the context its host functions get.
type session struct {
	context.Context
	guest.Guard
	plugin *Plugin
	log    *slog.Logger

	args, environ []string
	stdin         io.Reader
	stdout        io.Writer
	exchange      exchange.Bounded // nil of one that cannot be, and on a connection

	budget guest.LogBudget
}

var (
	_ guest.Session = (*session)(nil)
	_ guest.Streams = (*session)(nil)
)

// GuestLine logs a line of the program's standard error.
func (s *session) GuestLine(stream string, line []byte) {
	if s.log.Enabled(s.Context, slog.LevelInfo) && s.budget.Take(len(line)) {
		s.log.InfoContext(s.Context, "guest output", "stream", stream, "text", guest.LogText(line))
	}
}

// Args are the program's arguments, its name first.
func (s *session) Args() []string {
	if s.args == nil {
		return s.Module().Arguments(s.plugin.set.Args)
	}
	return s.args
}

// Environ is its environment.
func (s *session) Environ() []string { return s.environ }

// Module is what runs.
func (s *session) Module() *guest.Module { return s.plugin.pool.Module() }

// Stdin is its input.
func (s *session) Stdin() io.Reader { return s.stdin }

// Stdout is where its output goes.
func (s *session) Stdout() io.Writer { return s.stdout }

// end logs what is known of a run at its end only.
func (s *session) end() {
	s.budget.LogDropped(s.Context, func() *slog.Logger { return s.log })
}

// bind makes the exchange wait for no longer than the turn lasts.
func (s *session) bind() {
	if s.exchange != nil {
		s.exchange.Bound(s.Until())
	}
}

// run runs main and returns its exit code. An error means that it did not get
// to its end.
func (s *session) run() (exitCode uint32, err error) {
	defer s.end()
	i, err := s.plugin.pool.Get(s)
	if err != nil {
		return 0, fmt.Errorf("prepare: %w", err)
	}
	s.bind() // the turn begins now
	err = i.Call(s, s.plugin.entry, nil)
	s.plugin.pool.Put(i, guest.EndOf(err))
	if f, ok := errors.AsType[*guest.Failure](err); ok && f.Kind == guest.Exited {
		return f.ExitCode, nil
	}
	return 0, err
}

// environment is a list of NAME=VALUE. What cannot be in one is left out.
type environment []string

// with are the variables and those of granted that have another name.
func (e environment) with(granted []string) []string {
	for _, v := range granted {
		name, _, _ := strings.Cut(v, "=")
		if !slices.ContainsFunc(e, func(own string) bool { return strings.HasPrefix(own, name+"=") }) {
			e = append(e, v)
		}
	}
	return e
}

func (e *environment) set(name, value string) {
	if i := slices.Index([]byte(name+value), 0); i < 0 {
		*e = append(*e, name+"="+value)
	}
}
