package host

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/mpm"
)

// Config is what New builds a host from. It is already validated: names are
// unique, and every plugin a listener or route names is in Plugins.
type Config struct {
	Plugins   []Plugin
	Listeners []Listener
	Routes    []Route
	// Mounts are paths that are answered by the process itself and not by a
	// plugin.
	Mounts []Mount

	// CacheDir keeps compiled code between processes. It must be writable
	// by nobody else: its content is run as machine code. A candidate makes
	// it and fails if it cannot be used; a child then goes on without.
	CacheDir string

	// Slot and Generation say which child this is, for logs and connection
	// ids. A candidate has slot -1.
	Slot       int
	Generation uint64

	// Threads is how many connections are served at a time; 0 is one.
	Threads int

	// HTTP are the limits of the http listeners.
	HTTP HTTPSettings

	// AccessLog gets each line of the access log in one Write; nil is no access
	// log. AccessFormat passes accesslog.CheckFormat.
	AccessLog    io.Writer
	AccessFormat string

	// Quarantine tells which plugins are out of service, and is told of those that
	// crash, by their place in Plugins; nil is neither.
	Quarantine mpm.Quarantine

	// Logger receives what guests and the host have to say.
	Logger *slog.Logger

	// Progress, if set, is told before each step that compiles or runs guest
	// code ("plugin \"echo\": child_init"), so that whoever waits can say
	// what did not return.
	Progress func(step string)
}

// SettingError is what is wrong with a setting that New has found.
type SettingError = guest.SettingError

// wrong is an error about a setting of the plugin.
func (p *Plugin) wrong(key, format string, args ...any) error {
	return &SettingError{Key: "plugin." + p.Name + "." + key, Err: fmt.Errorf(format, args...)}
}

// ServesHTTP reports whether there is an http listener.
func (c *Config) ServesHTTP() bool {
	return slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.Protocol == HTTP })
}

// Plugin is one module and its settings.
type Plugin struct {
	// Name is the file's name without .wasm.
	Name string
	// Wasm is the module's bytes. They must not change while the host lives.
	Wasm []byte
	// Digest is the SHA-256 of Wasm, for a process that was told. Empty, each makes
	// it for itself. It names the code that runs, and only its length is checked.
	Digest []byte `json:",omitempty"`

	// MemoryLimitBytes bounds each instance's linear memory, rounded down to
	// pages of 64 KiB. 0 means guest.DefaultMemoryLimitBytes.
	MemoryLimitBytes uint64

	// CPUTimeout is how long the guest may run without calling the host, after
	// which the model may end its process; 0 is without bound.
	CPUTimeout time.Duration `json:",omitempty"`
	// Timeout is how long a turn of the guest may take, waiting included: of a
	// request all of it, of a connection from one read that got something to the
	// next read; 0 is without bound. nil is DefaultRequestTimeout for requests and
	// none for connections.
	Timeout *time.Duration `json:",omitempty"`
	// What the plugin is granted. None of it is the default.
	//
	// Env is its environment. Args are its arguments behind its name, which is
	// Arg0 or, if that is empty, Name; of a program that answers requests, see
	// command.Settings. Dirs are its folders.
	Env  map[string]string `json:",omitempty"`
	Arg0 string            `json:",omitempty"`
	Args []string          `json:",omitempty"`
	Dirs []Dir             `json:",omitempty"`

	// Mount says whether a plugin that answers requests has the path /NAME/. Without
	// it, it has unless a route has it behind another plugin, which may be there to
	// keep clients from it, or a tcp listener runs it.
	Mount *bool `json:",omitempty"`

	// Entrypoint is the function that a program begins at; empty is main.
	Entrypoint string `json:",omitempty"`

	// Isolation says what a run finds of those before it; empty is the default
	// of the plugin's ABI.
	Isolation Isolation `json:",omitempty"`

	// WarmUp is what the guest does before its image is taken; the zero value is
	// nothing.
	WarmUp WarmUp `json:",omitzero"`

	// Config is the plugin's own configuration, the values rendered as text
	// (a table or list as JSON). ConfigJSON is the same as one JSON object.
	Config     map[string]string
	ConfigJSON []byte
}

// DefaultRequestTimeout bounds a plugin's answer to a request, unless it has a
// Timeout.
const DefaultRequestTimeout = 60 * time.Second

// timeout is the plugin's, or otherwise.
func (p *Plugin) timeout(otherwise time.Duration) time.Duration {
	if p.Timeout == nil {
		return otherwise
	}
	return *p.Timeout
}

// Dir is a folder that a plugin may use.
type Dir struct {
	Host  string // absolute
	Guest string // where the plugin finds it, absolute
	Write bool   `json:",omitempty"` // else it is read only
}

// HTTPSettings are those of web.Config by the same names, which says what they
// mean. 0 is the default there, and where there is none, no limit.
type HTTPSettings struct {
	HeaderBytesMax        int
	BodyBytesMax          int64
	FirstByteTimeout      time.Duration
	HeaderTimeout         time.Duration
	BodyTimeout           time.Duration
	BodyGrace             time.Duration
	BodyRateMin           int64
	IdleTimeout           time.Duration
	WriteTimeout          time.Duration
	RequestsPerConnection int
	RequestIDHeader       string
	TrustRequestID        bool
}

// Isolation is the part of a plugin's life after which nothing is left of it.
type Isolation string

// The isolations.
const (
	// IsolateConnections is the default of TCP: each connection has a fresh
	// instance.
	IsolateConnections Isolation = "connection"
	// IsolateRequests is the default of HTTP: each request has a fresh one.
	IsolateRequests Isolation = "request"
	// IsolateChildren lets what a run leaves be there for later ones in the same
	// child process.
	IsolateChildren Isolation = "child"
)

// Listener binds a listener's name to what is served there.
type Listener struct {
	Name     string
	Protocol Protocol
	// Plugin handles the connections of a Protocol TCP listener.
	Plugin string
	// ReadTimeout and WriteTimeout bound each read and write on a connection
	// of a Protocol TCP listener, where the plugin sets no timeout of its own;
	// 0 means none.
	ReadTimeout, WriteTimeout time.Duration
}

// Protocol is what a listener speaks.
type Protocol string

// The protocols.
const (
	TCP  Protocol = "tcp"  // bytes, handed to one plugin
	HTTP Protocol = "http" // HTTP/1.1, routed by path
)

// Mount puts a handler that is no plugin on the http listeners. The page at "/"
// does not show it.
type Mount struct {
	// Path is a prefix if it ends in a slash, else the exact path.
	Path    string
	Handler exchange.Handler
	// Name says what it is, in the list that Routes makes.
	Name string
}

// Route says what answers some of the requests on the http listeners. A plugin
// that answers requests also has /NAME/ (see Plugin.Mount), unless a route for any
// host and method takes that.
type Route struct {
	// Host is the name that the request is for, or "*." and the end of it;
	// empty is any.
	Host string `json:",omitempty"`
	// Path is a prefix if it ends in a slash, else the exact path.
	Path string
	// Methods are those that the route is for; empty is all.
	Methods []string `json:",omitempty"`

	// Chain are plugins, each of which answers or passes the request on to
	// the next one; the last one passes it on to the end.
	Chain []string `json:",omitempty"`
	// The end is at most one of these. Without one it is the last plugin,
	// and what that passes on is answered with 404.
	Root     string    `json:",omitempty"` // a folder of files, absolute
	Proxy    *Proxy    `json:",omitempty"`
	Redirect *Redirect `json:",omitempty"`
	Respond  *Respond  `json:",omitempty"`
}

// Proxy has another server answer.
type Proxy struct {
	// To is http://HOST:PORT, with a path that takes the place of the route's or
	// without, or unix: and the absolute path of a socket.
	To string
	// ConnectTimeout and Timeout are those of proxy.Config.
	ConnectTimeout, Timeout time.Duration
}

// Redirect sends clients to Location.
type Redirect struct {
	Location string
	Status   int
}

// Respond answers with a text.
type Respond struct {
	Status      int
	ContentType string
	Body        string
}
