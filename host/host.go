package host

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/apphost/apphost/host/abi/command"
	"github.com/apphost/apphost/host/abi/conn"
	"github.com/apphost/apphost/host/abi/httpwasm"
	"github.com/apphost/apphost/host/accesslog"
	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/web/proxy"
	"github.com/apphost/apphost/host/web/static"
	"github.com/apphost/apphost/mpm"
)

// Host serves the connections of one process. ServeConn may be called
// concurrently; Close only when no call is under way.
type Host struct {
	log        *slog.Logger
	runtime    *guest.Runtime
	plugins    []*plugin       // in the order of Config.Plugins
	files      []*static.Files // of routes
	proxies    []*proxy.Proxy  // of routes
	listeners  map[string]listener
	slot       int
	generation uint64
	process    string         // in the ids of requests: no other process has it
	accessLog  *accesslog.Log // nil: none
	quarantine quarantine
	records    sync.Pool // of *recorded
}

var _ mpm.ConnHandler = (*Host)(nil)

// plugin is a loaded module in one of its two roles.
type plugin struct {
	module *guest.Module
	grants string      // in words
	mount  *bool       // as Plugin.Mount
	serves interface { // the role that is set
		Check(ctx context.Context, instances int, step func(what string)) error
		Reuse() string
		Close() error
	}
	conn    *conn.Plugin     // nil unless it speaks the conn ABI, or the server ABI
	http    exchange.Handler // nil unless it speaks an HTTP ABI
	command *command.Plugin  // nil unless it is a program
}

// listener is what serves the connections of one: a plugin or the web server.
type listener struct {
	conn     *conn.Plugin
	command  *command.Plugin
	plugin   string        // the name of either
	code     int           // its place
	timeouts conn.Timeouts // of its connections
	web      webServer
}

// PluginInfo describes a loaded plugin.
type PluginInfo struct {
	Name  string
	ABI   string
	Bytes int // of the binary
	// Grants is what it may use, as Plugin.Grants has it.
	Grants string
	// Instances is how one of a run becomes one for the next, in words such as
	// "reset: track".
	Instances string
}

// abis are the ABIs a plugin may speak.
func abis() []guest.ABI {
	return []guest.ABI{conn.ABI(), conn.ServerABI(), httpwasm.ABI(), command.ABI()}
}

// Inspect reads and validates a module without running it. What keeps it from
// being a plugin is in the result's Problems.
func Inspect(ctx context.Context, name string, wasm []byte) *guest.Inspection {
	return guest.Inspect(ctx, name, wasm, abis())
}

// MakeUserCache makes the code cache of a user in dir, for root to call before
// it becomes that user, and returns the path for Config.CacheDir. With a jail,
// the folder that will be the process's root, both are paths inside of it.
func MakeUserCache(jail, dir string, uid, gid int) (string, error) {
	return guest.MakeUserCache(jail, dir, uid, gid)
}

// New loads every plugin and tries it out: it prepares an instance as for a
// connection or request, which runs _initialize, child_init and the warm-up. The
// first connections find that one, and as many more as Config.Threads says.
//
// # Errors
//
// All faults are joined; each is one line. There is no host then.
//
//   - in a candidate: the code cache cannot be used
//   - a plugin is not valid, speaks no ABI, or needs too much memory
//   - a plugin's child_init or its language runtime fails
//   - a listener or a route names a plugin of the wrong kind, or a path that
//     cannot match
func New(ctx context.Context, config Config) (*Host, error) {
	log := config.Logger.With("generation", config.Generation, "slot", config.Slot)
	runtime, err := guest.NewRuntime(ctx, guest.Options{
		CacheDir: config.CacheDir, KeepCache: config.Slot < 0, ABIs: abis(), Logger: log,
	})
	if err != nil {
		return nil, err
	}
	h := &Host{
		log:     log,
		runtime: runtime, slot: config.Slot, generation: config.Generation,
		process:    newProcessName(),
		quarantine: quarantine{model: config.Quarantine, log: log},
	}
	for _, p := range config.Plugins {
		h.quarantine.names = append(h.quarantine.names, p.Name)
	}
	if h.accessLog, err = h.openAccessLog(&config); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	faults := h.loadAll(ctx, &config)
	h.listeners, err = h.bind(&config, faults != nil)
	if err := errors.Join(faults, err); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// Close ends the engine and gives back its memory. It may be called again.
func (h *Host) Close() error {
	var errs []error
	for _, p := range h.plugins {
		errs = append(errs, p.serves.Close())
	}
	h.plugins = nil
	for _, f := range h.files {
		errs = append(errs, f.Close())
	}
	h.files = nil
	for _, p := range h.proxies {
		p.Close()
	}
	h.proxies = nil
	return errors.Join(append(errs, h.runtime.Close(context.Background()))...)
}

// Plugins describes the plugins, in the order of Config.Plugins.
func (h *Host) Plugins() []PluginInfo {
	out := make([]PluginInfo, len(h.plugins))
	for i, p := range h.plugins {
		out[i] = PluginInfo{p.module.Name(), p.module.ABI(), p.module.Size(), p.grants, p.serves.Reuse()}
	}
	return out
}

// ServeConn serves c with what its listener is bound to. It implements
// mpm.ConnHandler.
func (h *Host) ServeConn(ctx context.Context, c mpm.Conn) {
	id := connID{h.generation, h.slot, c.ID()}
	l := h.listeners[c.Listener()]
	watch, _ := c.(mpm.Watched)
	switch {
	case h.quarantine.refuses(ctx, &l, id):
	case l.conn != nil, l.command != nil:
		h.serveTCP(ctx, c, l, id)
	case l.web != nil:
		t := accesslog.NewTrace(h.process, c.ID())
		l.web.ServeConn(t.With(guest.WithConnection(ctx, &requestID{id, t}, watch)), c)
	default:
		h.log.ErrorContext(ctx, "connection of an unknown listener dropped", "listener", c.Listener(), "connection", id.String())
	}
}

// connID names a connection in logs and to the guest. Most are never asked
// for their name.
type connID struct {
	generation uint64
	slot       int
	number     uint64
}

// String is such as g7-s3-42.
func (id connID) String() string {
	return fmt.Sprintf("g%d-s%d-%d", id.generation, id.slot, id.number)
}

// requestID names a connection and the request that it is at.
type requestID struct {
	connID
	trace *accesslog.Trace
}

// Request is the id of the request.
func (id *requestID) Request() string { return id.trace.ID() }

// newProcessName is one that no other process has, also one of another server or
// of another day: slots, generations and connections begin anew with them.
func newProcessName() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

func (h *Host) openAccessLog(config *Config) (*accesslog.Log, error) {
	if config.AccessLog == nil {
		return nil, nil
	}
	l, err := accesslog.New(accesslog.Config{
		Format: config.AccessFormat, To: config.AccessLog, Generation: h.generation, Slot: h.slot, Logger: h.log,
	})
	if err != nil {
		return nil, fmt.Errorf("open access log: its format: %w", err)
	}
	return l, nil
}

func (h *Host) loadAll(ctx context.Context, config *Config) error {
	var errs []error
	for _, p := range config.Plugins {
		step := func(what string) {
			if config.Progress != nil {
				config.Progress(fmt.Sprintf("plugin %q: %s", p.Name, what))
			}
		}
		if err := h.load(ctx, config, p, step); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (h *Host) load(ctx context.Context, config *Config, p Plugin, step func(what string)) error {
	step("compile")
	source := guest.Source{
		Name: p.Name, Wasm: p.Wasm, Digest: p.Digest, MemoryLimitBytes: p.MemoryLimitBytes, Entrypoint: p.Entrypoint,
		Crashed: h.quarantine.crashed(p.Name),
	}
	for _, d := range p.Dirs {
		source.Dirs = append(source.Dirs, guest.Dir(d))
	}
	m, err := h.runtime.Load(ctx, source)
	if err != nil {
		return err
	}
	if p.Entrypoint != "" && m.ABI() != command.Name {
		return p.wrong("entrypoint", "the plugin speaks the %s ABI, which has no entrypoint to choose: remove this", m.ABI())
	}
	if p.Mount != nil && *p.Mount && (m.ABI() == conn.Name || m.ABI() == conn.ServerName) {
		return p.wrong("mount", "the plugin speaks the %s ABI, and cannot be mounted on a path: remove this", m.ABI())
	}
	loaded := &plugin{module: m, grants: p.Grants(), mount: p.Mount}
	log := h.log.With("plugin", p.Name)
	isolation, ok := isolate(p.Isolation, m.ABI())
	if !ok {
		return p.wrong("isolation", "must be %s with the %s ABI, which the plugin speaks, got %q", isolations(m.ABI()), m.ABI(), p.Isolation)
	}
	if err := checkWarmUp(&p, m); err != nil {
		return fmt.Errorf("plugin %q: %w", p.Name, err)
	}
	switch m.ABI() {
	case conn.Name, conn.ServerName:
		loaded.conn = conn.New(m, conn.Settings{
			Config: p.Config, ConfigJSON: p.ConfigJSON, Isolation: isolation,
			WarmUp: p.WarmUp.Calls, Trial: h.trial(),
			Args: p.arguments(), Environ: p.environ(), CPUTimeout: p.CPUTimeout, Timeout: p.timeout(0), Logger: log,
		})
		loaded.serves = loaded.conn
	case httpwasm.Name:
		handler := httpwasm.New(m, httpwasm.Settings{
			ConfigJSON: p.ConfigJSON, Isolation: isolation, WarmUp: p.WarmUp.Path, Trial: h.trial(),
			Args: p.arguments(), Environ: p.environ(), CPUTimeout: p.CPUTimeout, Timeout: p.timeout(DefaultRequestTimeout), Logger: log,
		})
		loaded.http, loaded.serves = handler, handler
	case command.Name:
		loaded.command = command.New(m, command.Settings{
			Entrypoint: p.Entrypoint, Args: p.arguments(), Environ: p.environ(), Logger: log,
			CPUTimeout: p.CPUTimeout, ConnTimeout: p.timeout(0), RequestTimeout: p.timeout(DefaultRequestTimeout),
		})
		loaded.serves = loaded.command
	default:
		panic("BUG: plugin of an ABI that is not one of ours: " + m.ABI())
	}
	h.plugins = append(h.plugins, loaded)
	if err := loaded.serves.Check(ctx, config.instances(), step); err != nil {
		return fmt.Errorf("plugin %q: %w", p.Name, err)
	}
	return nil
}
