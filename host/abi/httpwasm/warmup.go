package httpwasm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/guest"
)

// warm lets a prepared guest answer a request that nobody made, if its settings
// say so, so that what it makes on first use is in its image.
func (p *Plugin) warm(s *session, i *guest.Instance) error {
	if p.warmUp == "" {
		return nil
	}
	if s.step != nil {
		s.step("warm_up, GET " + p.warmUp)
	}
	x := newRehearsal(p.warmUp)
	w := &session{Context: s.Context, Guard: s.Guard, plugin: p, x: x, phase: inRequest, features: s.features, onward: silence{}}
	err := w.serve(i)
	w.end()
	if f, ok := errors.AsType[*guest.Failure](err); ok && f.Kind == guest.Exited {
		return fmt.Errorf("warm_up, GET %s: %w; a guest that has ended itself can serve nobody, so it cannot be warmed up", p.warmUp, err)
	}
	if err != nil {
		return fmt.Errorf("warm_up, GET %s: %w", p.warmUp, err)
	}
	p.reportStatus(s, x.status)
	return nil
}

// reportStatus says where plugins are tried out that the path may be wrong.
func (p *Plugin) reportStatus(s *session, status int) {
	if status >= http.StatusBadRequest && p.trial {
		p.log.WarnContext(s.Context, fmt.Sprintf("warm_up: GET %s is answered with status %d", p.warmUp, status))
	}
}

// silence is the next handler of a warm-up: it answers 200 and nothing more.
type silence struct{}

func (silence) Serve(context.Context, exchange.Exchange) error { return nil }

// rehearsal is an exchange without a client. The response is dropped, but for its
// header and status, which the guest may read.
type rehearsal struct {
	method, uri []byte
	header      [4]rehearsedHeader
	status      int
}

var (
	_ exchange.Exchange = (*rehearsal)(nil)
	_ exchange.Sink     = (*rehearsal)(nil)
)

// warmUpAgent tells a guest that wants to know.
const warmUpAgent = "apphost-warm-up"

func newRehearsal(uri string) *rehearsal {
	x := &rehearsal{method: []byte(http.MethodGet), uri: []byte(uri), status: http.StatusOK}
	x.header[exchange.Request] = rehearsedHeader{{"Host", "localhost"}, {"User-Agent", warmUpAgent}}
	return x
}

func (x *rehearsal) Method() []byte                         { return x.method }
func (x *rehearsal) URI() []byte                            { return x.uri }
func (x *rehearsal) Protocol() string                       { return "HTTP/1.1" }
func (x *rehearsal) SetMethod(method []byte)                { x.method = bytes.Clone(method) }
func (x *rehearsal) SetURI(uri []byte)                      { x.uri = bytes.Clone(uri) }
func (x *rehearsal) RemoteAddr() string                     { return "127.0.0.1:0" }
func (x *rehearsal) LocalAddr() string                      { return "127.0.0.1:0" }
func (x *rehearsal) Header(k exchange.Kind) exchange.Header { return &x.header[k] }
func (x *rehearsal) Body() io.Reader                        { return http.NoBody }
func (x *rehearsal) Status() int                            { return x.status }
func (x *rehearsal) Write(p []byte) (int, error)            { return len(p), nil }
func (x *rehearsal) Dropping() bool                         { return true }

func (x *rehearsal) SetStatus(code int) error {
	x.status = code
	return nil
}

// rehearsedHeader is a header block, the fields in order.
type rehearsedHeader [][2]string

func (h *rehearsedHeader) Names(yield func(name []byte) bool) {
	for n, f := range *h {
		if !slices.ContainsFunc((*h)[:n], is([]byte(f[0]))) && !yield([]byte(f[0])) {
			return
		}
	}
}

func (h *rehearsedHeader) Values(name []byte, yield func(value []byte) bool) {
	for _, f := range *h {
		if is(name)(f) && !yield([]byte(f[1])) {
			return
		}
	}
}

func (h *rehearsedHeader) Set(name, value []byte) error {
	_ = h.Remove(name)
	return h.Add(name, value)
}

func (h *rehearsedHeader) Add(name, value []byte) error {
	const breaks = "\r\n\x00"
	if len(name) == 0 || bytes.ContainsAny(name, breaks+" :") || bytes.ContainsAny(value, breaks) {
		return exchange.ErrInvalid
	}
	*h = append(*h, [2]string{string(name), string(value)})
	return nil
}

func (h *rehearsedHeader) Remove(name []byte) error {
	*h = slices.DeleteFunc(*h, is(name))
	return nil
}

// is tells the fields of a name.
func is(name []byte) func(field [2]string) bool {
	return func(field [2]string) bool { return bytes.EqualFold([]byte(field[0]), name) }
}
