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
	Serve(httpguest.Server{}, handler)
	return 0 // the response is complete: no next handler
}

// handleResponse is required by the ABI. It is only called after a
// handle_request that asked for the next handler, which ours never does.
//
//go:wasmexport handle_response
func handleResponse(_, _ int32) {}
