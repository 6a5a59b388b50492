// Package web makes an HTTP handler of a Go program: a plugin that answers
// requests on the server's http listeners.
//
//	package main
//
//	import "github.com/apphost/apphost/sdk/web"
//
//	func init() { web.Handle(hello) }
//
//	func hello(w *web.Response, r *web.Request) {
//		w.WriteString("Hello, " + r.Query().Get("name") + "!\n")
//	}
//
//	func main() {} // never called: the server calls the handler
//
// Build it as a WASI reactor and put it into the plugin folder:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugins/hello.wasm .
//
// It is then found at /hello/ of every http listener, and at the paths that
// routes give it.
//
// The package has its own small types because net/http would add megabytes to
// every guest. The guest speaks the http-wasm handler ABI
// (https://http-wasm.io/http-handler-abi/) and so runs in other servers that
// have it.
//
// # Life of an instance
//
// Each request has an instance of its own, in the state that the init
// functions leave it in: what the handler changes in memory is gone for the
// next one. A server prepares an instance once and puts its memory back after each
// request, or prepares one for each; it may prepare some that it never uses.
//
// What was drawn at random meanwhile is then the same in each request: the order
// of maps, and the numbers of math/rand's functions. Where that matters, take
// crypto/rand, or seed a generator from it.
//
// # Chains
//
// A handler that calls [Response.Next] passes the request on: to the next plugin
// of its route's chain, or to the files or the server at its end. It can look at
// requests before others do, and answer those that should get no further:
//
//	func login(w *web.Response, r *web.Request) {
//		user, ok := userOf(r)
//		if !ok {
//			w.Error(401, "who are you?")
//			return
//		}
//		r.SetHeader("X-User", user)
//		w.Next()
//	}
//
// # Logging
//
// What is written with log/slog's default logger, or with package log, goes to
// the server's error log with the plugin's name and the connection: slog with
// its level and as "message key=value"; log at level info, or at the level that
// a line's first word names: DEBUG, INFO, WARN or ERROR. slog leaves out debug
// messages unless the guest calls slog.SetLogLoggerLevel. A guest that imports
// only log is smaller by 800 KB.
//
// A panic is logged with its stack and ends the instance. The client gets
// status 500 if nothing was sent yet, else the response is cut off.
//
// # Testing
//
// On other platforms handlers compile and have unit tests: package webtest
// makes an http.Handler of them.
package web

import "github.com/apphost/apphost/sdk/internal/httpguest"

// handler is what the guest registered. The server calls exports without a
// handle, so the function behind them can only be found in a variable of the
// package. It is set while the module initialises and never changes
// afterwards.
var handler func(*Response, *Request)

// Handle makes h the guest's HTTP handler. It must be called from an init
// function, once: main does not run in a plugin.
//
// The response is complete when h returns; w and r must not be used any more.
func Handle(h func(w *Response, r *Request)) {
	if h == nil {
		panic("BUG: web.Handle: the handler is nil")
	}
	if handler != nil {
		panic("BUG: web.Handle: called twice")
	}
	handler = h
}

// Config is the plugin's configuration, the section [plugin.NAME.config], as
// a JSON object. It is empty if there is none. It may be called from init
// functions on.
func Config() []byte { return httpguest.Config() }

// Serve answers one request with h, and reports whether h passed it on instead.
// It is for package webtest: in the server the guest's exports call it.
func Serve(x httpguest.Exchange, h func(w *Response, r *Request)) (next bool) {
	w := &Response{exchange: x, buf: make([]byte, 0, bufferBytes)}
	h(w, &Request{exchange: x})
	if w.next && (w.calls > 0 || len(w.buf) > 0) {
		panic("BUG: the handler called Response.Next and wrote a body, too")
	}
	w.finish()
	return w.next
}
