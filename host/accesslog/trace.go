package accesslog

import (
	"context"
	"strconv"
	"time"
)

// Trace is the request that a connection is at: what it is called, and which
// plugin it is with for how long. One goroutine uses it.
type Trace struct {
	process    string // of the id
	connection uint64
	request    uint64
	given      []byte // the id that came with the request, if it is taken

	timed  bool // somebody wants to know guest
	plugin string
	guest  time.Duration // in plugins, without the time that they waited for the client
	since  time.Time     // guest code runs since then; zero: it does not
	depth  int           // how many plugins of a chain are in each other
}

// traceKey finds the trace in a context.
type traceKey struct{}

// NewTrace is the trace of a connection, whose number is unique in a process
// with a unique name.
func NewTrace(process string, connection uint64) *Trace {
	t := new(Trace)
	t.Reset(process, connection)
	return t
}

// Reset makes it the trace of another connection.
func (t *Trace) Reset(process string, connection uint64) {
	*t = Trace{process: process, connection: connection, given: t.given[:0]}
}

// With adds the trace to a context.
func (t *Trace) With(ctx context.Context) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// TraceOf is the trace of ctx, or nil.
func TraceOf(ctx context.Context) *Trace {
	t, _ := ctx.Value(traceKey{}).(*Trace)
	return t
}

// Next begins the next request.
func (t *Trace) Next(timed bool) {
	t.request++
	t.given, t.plugin, t.guest = t.given[:0], "", 0
	t.timed, t.since, t.depth = timed, time.Time{}, 0
}

// Continue takes up a connection that was traced before, and had so many requests.
func (t *Trace) Continue(requests uint64) { t.request = requests }

// Time says whether somebody wants to know how long plugins take. It is for a
// connection that has no requests.
func (t *Trace) Time(wanted bool) { t.timed = wanted }

// Requests is how many there were, with the one under way.
func (t *Trace) Requests() uint64 { return t.request }

// givenBytesMax is the longest id that is taken from a client.
const givenBytesMax = 64

// Take makes id that of the request if it is sound: short, and of letters,
// digits and "-._~+/=:@". It reports whether it is.
func (t *Trace) Take(id []byte) bool {
	if len(id) == 0 || len(id) > givenBytesMax {
		return false
	}
	for _, c := range id {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/', c == '=', c == ':', c == '@':
		default:
			return false
		}
	}
	t.given = append(t.given[:0], id...)
	return true
}

// AppendID appends the request's id. It needs no escaping.
func (t *Trace) AppendID(dst []byte) []byte {
	if len(t.given) > 0 {
		return append(dst, t.given...)
	}
	dst = append(dst, t.process...)
	dst = append(dst, '-')
	dst = strconv.AppendUint(dst, t.connection, 10)
	if t.request > 0 {
		dst = append(dst, '-')
		dst = strconv.AppendUint(dst, t.request, 10)
	}
	return dst
}

// ID is the request's id.
func (t *Trace) ID() string { return string(t.AppendID(nil)) }

// Enter notes that a plugin has the request. It may be within another one.
func (t *Trace) Enter(plugin string) {
	t.plugin = plugin
	if t.depth++; t.depth == 1 && t.timed {
		t.since = time.Now()
	}
}

// Leave notes that the plugin that has it since the last Enter is done.
func (t *Trace) Leave() {
	if t.depth--; t.depth == 0 {
		t.stop()
	}
}

// Pause stops the clock of the plugins if it runs, for what is behind them and
// for waits for the client. It reports whether it has, and then a Resume is due.
// While the clock stands, many goroutines may call it.
func (t *Trace) Pause() bool {
	if t.since.IsZero() {
		return false
	}
	t.stop()
	return true
}

// Resume goes on after a Pause that has stopped the clock.
func (t *Trace) Resume() { t.since = time.Now() }

func (t *Trace) stop() {
	if !t.since.IsZero() {
		t.guest += time.Since(t.since)
		t.since = time.Time{}
	}
}
