package statuspage

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/apphost/apphost/host/exchange"
)

// fakeExchange is a request from this machine, and its response.
type fakeExchange struct {
	exchange.Exchange // what a Handler does not use
	method, uri       string
	remote            string
	request, header   header
	status            int
	body              bytes.Buffer
}

func newExchange(method, uri string) *fakeExchange {
	return &fakeExchange{method: method, uri: uri, remote: "127.0.0.1:4711", status: 200}
}

func ask(t *testing.T, h *Handler, method, uri string) *fakeExchange {
	t.Helper()
	x := newExchange(method, uri)
	x.serve(t, h)
	return x
}

func (x *fakeExchange) serve(t *testing.T, h *Handler) {
	t.Helper()
	if err := h.Serve(t.Context(), x); err != nil {
		t.Fatalf("%s %s: %v", x.method, x.uri, err)
	}
}

func (x *fakeExchange) Method() []byte              { return []byte(x.method) }
func (x *fakeExchange) URI() []byte                 { return []byte(x.uri) }
func (x *fakeExchange) RemoteAddr() string          { return x.remote }
func (x *fakeExchange) Body() io.Reader             { return strings.NewReader("") }
func (x *fakeExchange) SetStatus(code int) error    { x.status = code; return nil }
func (x *fakeExchange) Write(p []byte) (int, error) { return x.body.Write(p) }

func (x *fakeExchange) Header(kind exchange.Kind) exchange.Header {
	if kind == exchange.Request {
		return &x.request
	}
	return &x.header
}

// header is a block with at most one value of each name.
type header []struct{ name, value string }

func (h header) get(name string) string {
	for _, f := range h {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

func (h *header) Names(func([]byte) bool) {}

func (h *header) Values(name []byte, yield func([]byte) bool) {
	for _, f := range *h {
		if strings.EqualFold(f.name, string(name)) && !yield([]byte(f.value)) {
			return
		}
	}
}

func (h *header) Set(name, value []byte) error {
	*h = append(*h, struct{ name, value string }{string(name), string(value)})
	return nil
}

func (h *header) Add(name, value []byte) error { return h.Set(name, value) }
func (h *header) Remove([]byte) error          { return nil }
