//go:build !wasip1

// Package webtest runs a guest written with package web as native code: as an
// http.Handler, for unit tests with net/http/httptest, or for a debugger.
//
//	func TestHello(t *testing.T) {
//		got := httptest.NewRecorder()
//		webtest.Handler(hello).ServeHTTP(got, httptest.NewRequest("GET", "/?name=Ada", nil))
//		...
//	}
//
// The guest's code is the same as in the plugin. What differs is that memory
// is not reset between requests.
package webtest

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/apphost/apphost/sdk/abi"
	"github.com/apphost/apphost/sdk/internal/httpguest"
	"github.com/apphost/apphost/sdk/web"
)

// Handler answers requests with h. Those that it passes on get status 404, as at
// the end of a chain.
func Handler(h func(w *web.Response, r *web.Request)) http.Handler {
	return Chain(h, http.NotFoundHandler())
}

// Chain answers requests with h, and those that it passes on with next.
func Chain(h func(w *web.Response, r *web.Request), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{w: w, r: r, status: http.StatusOK}
		if web.Serve(x, h) {
			next.ServeHTTP(w, r)
			return
		}
		x.send()
	})
}

// Config makes json what web.Config returns until the test ends. It is the
// process's, so tests that use it must not run in parallel.
func Config(t testing.TB, json string) {
	before := httpguest.SetConfig([]byte(json))
	t.Cleanup(func() { httpguest.SetConfig(before) })
}

// exchange implements httpguest.Exchange on net/http.
type exchange struct {
	w      http.ResponseWriter
	r      *http.Request
	status int
	writes int    // calls of WriteBody
	held   []byte // what the first one wrote
	sent   bool   // the header was
}

func (x *exchange) Method() string     { return x.r.Method }
func (x *exchange) URI() string        { return x.r.URL.RequestURI() }
func (x *exchange) Protocol() string   { return x.r.Proto }
func (x *exchange) RemoteAddr() string { return x.r.RemoteAddr }

func (x *exchange) header(kind uint32) http.Header {
	switch kind {
	case abi.HeaderRequest:
		return x.r.Header
	case abi.HeaderResponse:
		if x.sent {
			panic("BUG: the handler changed the response header after it was sent")
		}
		return x.w.Header()
	}
	return http.Header{}
}

func (x *exchange) HeaderNames(kind uint32) []string {
	return slices.Sorted(maps.Keys(x.header(kind)))
}

func (x *exchange) HeaderValues(kind uint32, name string) []string {
	return x.header(kind).Values(name)
}

func (x *exchange) SetHeader(kind uint32, name, value string) { x.header(kind).Set(name, value) }
func (x *exchange) AddHeader(kind uint32, name, value string) { x.header(kind).Add(name, value) }
func (x *exchange) RemoveHeader(kind uint32, name string)     { x.header(kind).Del(name) }

// ReadBody takes a body that breaks off for one that ends. The server ends such
// a request instead, and the guest does not come to see it.
func (x *exchange) ReadBody(p []byte) (n int, ended bool) {
	n, err := x.r.Body.Read(p)
	return n, err != nil
}

func (x *exchange) SetStatus(code int) {
	if x.sent {
		panic("BUG: the handler changed the response header after it was sent")
	}
	x.status = code
}

// WriteBody sends nothing before its second call, as the server does.
func (x *exchange) WriteBody(p []byte) {
	x.writes++
	if x.writes == 1 {
		x.held = slices.Clone(p)
		return
	}
	x.send()
	_, _ = x.w.Write(p) // a client that is gone shows in the test itself
	_ = http.NewResponseController(x.w).Flush()
}

// send sends the header and what was held back, once.
func (x *exchange) send() {
	if x.sent {
		return
	}
	x.sent = true
	x.w.WriteHeader(x.status)
	_, _ = x.w.Write(x.held)
}
