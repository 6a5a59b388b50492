package web

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/apphost/apphost/host/accesslog"
	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/mpm"
)

// Mount puts a handler at a path.
type Mount struct {
	// Host is the name that the request's Host must have, in any case and
	// with any port, or "*." and the end of it; empty is any. A request
	// without a Host, which only HTTP/1.0 allows, has the name "".
	Host string
	// Methods are those that the mount is for; empty is all that no other
	// mount of the path is for. One for GET takes HEAD too.
	Methods []string
	// Path is what the decoded, normalised path of a request is compared
	// with: as a prefix if it ends in "/", else as a whole. It begins with
	// "/" and contains no "//", "/./" or "/../".
	Path string
	// Name says what is mounted, on the page at "/": a plugin's name, say. One
	// without a name is not shown.
	Name string
	// Handler answers the requests.
	Handler exchange.Handler
}

// Config is what a Server is made of. In its numbers and durations 0 means
// the default.
type Config struct {
	// Mounts are the handlers, in the order in which "/" lists them.
	Mounts []Mount
	// Name is the value of the Server header of responses that do not bring
	// their own; empty means no such header.
	Name string
	// Logger takes what goes wrong on connections, at debug level: clients
	// break off and send nonsense all the time. The default discards it.
	Logger *slog.Logger

	// HeaderBytesMax is the largest request line and header, together, that
	// is read; a larger one is answered 431. Each connection has a buffer of
	// this size. Default 16 KiB.
	HeaderBytesMax int
	// BodyBytesMax is the largest request body; a larger one is answered
	// 413. Bodies are streamed: this much is never in memory. Default 64 MiB.
	BodyBytesMax int64

	// The timeouts may come early by an eighth of their length, by one
	// second at most: it saves most of the cost of arming them.

	// FirstByteTimeout is the longest wait for a connection's first byte.
	// Default 10s.
	FirstByteTimeout time.Duration
	// HeaderTimeout is the time from a request's first byte to the end of its
	// header. Default 20s.
	HeaderTimeout time.Duration
	// BodyTimeout is the longest wait for a next piece of a request's body.
	// Default 30s.
	BodyTimeout time.Duration
	// BodyGrace and BodyRateMin bound the time for a whole body: reads of it
	// wait for BodyGrace altogether, and for one second more with each
	// BodyRateMin bytes. A slower client is answered 408. Defaults 20s and
	// 500 bytes per second.
	BodyGrace   time.Duration
	BodyRateMin int64
	// IdleTimeout is the longest wait for the next request of a connection.
	// Default 15s.
	IdleTimeout time.Duration
	// WriteTimeout is the longest a client may take to accept a piece of a
	// response. Default 30s.
	WriteTimeout time.Duration

	// RequestsPerConnection is after how many requests a connection is closed;
	// 0 is never.
	RequestsPerConnection int
	// RequestIDHeader is the field in which handlers find the id that the
	// request has in logs; "" leaves the header as it came. With
	// TrustRequestID a client's own, if it is sound, becomes that id.
	RequestIDHeader string
	TrustRequestID  bool
	// AccessLog gets a line for each request; nil is none.
	AccessLog *accesslog.Log
}

// The defaults of Config.
const (
	DefaultHeaderBytesMax   = 16 << 10
	DefaultBodyBytesMax     = 64 << 20
	DefaultFirstByteTimeout = 10 * time.Second
	DefaultHeaderTimeout    = 20 * time.Second
	DefaultBodyTimeout      = 30 * time.Second
	DefaultBodyGrace        = 20 * time.Second
	DefaultBodyRateMin      = 500
	DefaultIdleTimeout      = 15 * time.Second
	DefaultWriteTimeout     = 30 * time.Second
)

// Server answers HTTP requests. It is safe for concurrent use, and nothing
// in it needs closing.
type Server struct {
	config Config
	routes routes
	page   []byte
	http   *fasthttp.Server
	conns  sync.Pool // of *conn
	dates  dates

	requestIDHeader []byte
	keepsLines      bool // request lines are kept for the logs
	// drainTimeout is the constant; shorter in tests.
	drainTimeout time.Duration
}

// New returns a server for config, which Validate must have found right.
func New(config Config) *Server {
	if err := config.Validate(); err != nil {
		panic(fmt.Sprintf("BUG: %v", err))
	}
	config.setDefaults()
	s := &Server{config: config, routes: newRoutes(config.Mounts), page: renderPage(config.Mounts), drainTimeout: drainTimeout, requestIDHeader: []byte(config.RequestIDHeader)}
	s.keepsLines = config.AccessLog != nil || config.Logger.Enabled(context.Background(), slog.LevelDebug)
	s.conns.New = func() any { return newConn(s) }
	s.http = &fasthttp.Server{
		Handler:         s.serveRequest,
		HeaderReceived:  headerReceived,
		ErrorHandler:    s.refuse,
		ConnState:       func(c net.Conn, state fasthttp.ConnState) { c.(*conn).onState(state) },
		Logger:          debugLogger{config.Logger},
		Name:            config.Name,
		ReadBufferSize:  config.HeaderBytesMax,
		WriteBufferSize: passThrough,

		// With headerReceived it reads nothing of a body by itself, so that
		// its MaxRequestBodySize does not come into play.
		StreamRequestBody: true,
		// Without this the library stores uploads in files of its own.
		DisablePreParseMultipartForm: true,

		NoDefaultDate:         true, // it comes with the header: see dates
		NoDefaultServerHeader: true,
		NoDefaultContentType:  true,
		SecureErrorLogMessage: true,
		// How many connections there are is for the model to say.
		Concurrency: math.MaxInt32,
	}
	return s
}

// Validate reports what is wrong with c: a path that cannot match or is there
// twice, a mount without a handler, a negative limit.
func (c *Config) Validate() error {
	if err := validateMounts(c.Mounts); err != nil {
		return err
	}
	limits := []struct {
		name  string
		value int64
	}{
		{"HeaderBytesMax", int64(c.HeaderBytesMax)},
		{"BodyBytesMax", c.BodyBytesMax},
		{"FirstByteTimeout", int64(c.FirstByteTimeout)},
		{"HeaderTimeout", int64(c.HeaderTimeout)},
		{"BodyTimeout", int64(c.BodyTimeout)},
		{"BodyGrace", int64(c.BodyGrace)},
		{"BodyRateMin", c.BodyRateMin},
		{"IdleTimeout", int64(c.IdleTimeout)},
		{"WriteTimeout", int64(c.WriteTimeout)},
		{"RequestsPerConnection", int64(c.RequestsPerConnection)},
	}
	for _, l := range limits {
		if l.value < 0 {
			return fmt.Errorf("validate web config: %s must not be negative, got %d", l.name, l.value)
		}
	}
	if c.RequestIDHeader != "" && !validName([]byte(c.RequestIDHeader)) {
		return fmt.Errorf("validate web config: RequestIDHeader is not a header name, got %q", c.RequestIDHeader)
	}
	return nil
}

func (c *Config) setDefaults() {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	orDefault(&c.HeaderBytesMax, DefaultHeaderBytesMax)
	orDefault(&c.BodyBytesMax, DefaultBodyBytesMax)
	orDefault(&c.FirstByteTimeout, DefaultFirstByteTimeout)
	orDefault(&c.HeaderTimeout, DefaultHeaderTimeout)
	orDefault(&c.BodyTimeout, DefaultBodyTimeout)
	orDefault(&c.BodyGrace, DefaultBodyGrace)
	orDefault(&c.BodyRateMin, DefaultBodyRateMin)
	orDefault(&c.IdleTimeout, DefaultIdleTimeout)
	orDefault(&c.WriteTimeout, DefaultWriteTimeout)
}

func orDefault[T comparable](value *T, byDefault T) {
	var zero T
	if *value == zero {
		*value = byDefault
	}
}

// ServeConn answers the requests of one connection, one after the other, and
// returns when there will be no more: the client or a response said so, a
// timeout passed, the child was told to leave, or something was wrong; or the
// model parks the connection, and calls again. It does not close c. Handlers
// get ctx.
func (s *Server) ServeConn(ctx context.Context, c mpm.Conn) {
	wrapped := s.conns.Get().(*conn)
	wrapped.open(ctx, c)
	var err error
	if wrapped.resume() {
		err = s.http.ServeConn(wrapped)
	}
	if wrapped.upgrade != nil {
		wrapped.upgrade.run(wrapped, err)
	}
	if flushErr := wrapped.flush(); err == nil {
		err = flushErr
	}
	wrapped.endRecord()
	wrapped.writeLines()
	if err != nil && !wrapped.refused {
		s.config.Logger.Debug("connection ended early", "connection", c.ID(), "remote", wrapped.remoteAddr(), "error", err)
	}
	if wrapped.parked {
		wrapped.park()
	} else if peer, ok := c.(mpm.Parting); ok && err == nil && wrapped.x.last && wrapped.written <= partingBytesMax {
		peer.PeerDone()
	}
	wrapped.release()
	s.conns.Put(wrapped)
}

// partingBytesMax is how much a client that is done may have been sent to be left at
// once: with segments of the usual size so much is on its way without waiting for an
// acknowledgement (RFC 6928). Should the client send something all the same, it gets a
// reset after that. It has the whole response even so if no packet was lost, since
// none is sent again, and if its system keeps what came before a reset, as Linux does.
const partingBytesMax = 10 << 10

// debugLogger is the library's logger: what it finds worth a line are
// mistakes of clients.
type debugLogger struct{ logger *slog.Logger }

func (l debugLogger) Printf(format string, args ...any) {
	l.logger.Debug("http library", "message", fmt.Sprintf(format, args...))
}
