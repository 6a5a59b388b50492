package web

import (
	"github.com/apphost/apphost/sdk/internal/guestlog"
	"github.com/apphost/apphost/sdk/internal/httpguest"
)

//go:wasmexport handle_request
func handleRequest() int64 {
	defer func() {
		if value := recover(); value != nil {
			httpguest.Log.Panicked(value)
			guestlog.Trap()
		}
	}()
	if handler == nil {
		panic("BUG: no handler: call web.Handle from an init function; main does not run")
	}
	if Serve(httpguest.Server{}, handler) {
		return 1 // the next handler answers
	}
	return 0
}

// handleResponse is required by the ABI. It is called when the next handler has
// answered.
//
//go:wasmexport handle_response
func handleResponse(_, _ int32) {}
