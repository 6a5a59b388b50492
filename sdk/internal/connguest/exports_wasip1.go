package connguest

import (
	"github.com/apphost/apphost/sdk/abi"
	"github.com/apphost/apphost/sdk/internal/guestlog"
)

//go:wasmexport child_init
func childInit() int32 {
	defer trapOnPanic()
	if err := Init(); err != nil {
		sink.Log(abi.LevelError, err.Error())
		return 1
	}
	return 0
}

//go:wasmexport process_connection
func processConnection() int32 {
	defer trapOnPanic()
	if err := Serve(NewConn()); err != nil {
		sink.Log(abi.LevelError, err.Error())
	}
	// For another result the server would log a line of its own, which can
	// only say that there was an error.
	return 0
}

// trapOnPanic is deferred by the exports: a panic is logged and ends the
// instance.
func trapOnPanic() {
	if value := recover(); value != nil {
		sink.Panicked(value)
		guestlog.Trap()
	}
}
