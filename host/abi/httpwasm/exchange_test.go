package httpwasm

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/apphost/apphost/host/exchange"
)

// fake is an exchange in memory.
type fake struct {
	method, uri string
	headers     [4]*fakeHeader
	body        io.Reader
	status      int
	sent        bool
	out         bytes.Buffer
	writeErr    error
}

var _ exchange.Exchange = (*fake)(nil)

func newFake(uri, body string) *fake {
	x := &fake{method: "POST", uri: uri, body: strings.NewReader(body), status: 200}
	for i := range x.headers {
		x.headers[i] = &fakeHeader{x: x, values: map[string][]string{}}
	}
	return x
}

func (x *fake) Method() []byte                         { return []byte(x.method) }
func (x *fake) URI() []byte                            { return []byte(x.uri) }
func (x *fake) Protocol() string                       { return "HTTP/1.1" }
func (x *fake) SetMethod(m []byte)                     { x.method = string(m) }
func (x *fake) SetURI(u []byte)                        { x.uri = string(u) }
func (x *fake) RemoteAddr() string                     { return "192.0.2.1:1234" }
func (x *fake) LocalAddr() string                      { return "192.0.2.2:80" }
func (x *fake) Header(k exchange.Kind) exchange.Header { return x.headers[k] }
func (x *fake) Body() io.Reader                        { return x.body }
func (x *fake) Status() int                            { return x.status }

func (x *fake) SetStatus(code int) error {
	if x.sent {
		return exchange.ErrSent
	}
	x.status = code
	return nil
}

func (x *fake) Write(p []byte) (int, error) {
	if x.writeErr != nil {
		return 0, x.writeErr
	}
	return x.out.Write(p)
}

type fakeHeader struct {
	x      *fake
	names  []string
	values map[string][]string
}

func (h *fakeHeader) Names(yield func([]byte) bool) {
	for _, n := range h.names {
		if !yield([]byte(n)) {
			return
		}
	}
}

func (h *fakeHeader) Values(name []byte, yield func([]byte) bool) {
	for _, v := range h.values[http.CanonicalHeaderKey(string(name))] {
		if !yield([]byte(v)) {
			return
		}
	}
}

func (h *fakeHeader) Set(name, value []byte) error {
	if err := h.Remove(name); err != nil {
		return err
	}
	return h.Add(name, value)
}

func (h *fakeHeader) Add(name, value []byte) error {
	if h.x.sent {
		return exchange.ErrSent
	}
	if bytes.ContainsAny(value, "\r\n\x00") || bytes.ContainsAny(name, " :\r\n\x00") {
		return exchange.ErrInvalid
	}
	key := http.CanonicalHeaderKey(string(name))
	if !slices.Contains(h.names, key) {
		h.names = append(h.names, key)
	}
	h.values[key] = append(h.values[key], string(value))
	return nil
}

func (h *fakeHeader) Remove(name []byte) error {
	if h.x.sent {
		return exchange.ErrSent
	}
	key := http.CanonicalHeaderKey(string(name))
	h.names = slices.DeleteFunc(h.names, func(n string) bool { return n == key })
	delete(h.values, key)
	return nil
}

var errGone = errors.New("client is gone")
