package connguest

import (
	"github.com/apphost/apphost/sdk/abi"
	"github.com/apphost/apphost/sdk/internal/guestlog"
)

//go:wasmexport child_init
func childInit() int32 {
	defer trapOnPanic()
	return result(Init())
}

//go:wasmexport process_connection
func processConnection() int32 {
	defer trapOnPanic()
	return result(Serve(NewConn()))
}

// result logs an error and turns it into an export's result.
func result(err error) int32 {
	if err == nil {
		return 0
	}
	sink.Log(abi.LevelError, err.Error())
	return 1
}

// trapOnPanic is deferred by the exports: a panic is logged and ends the
// instance.
func trapOnPanic() {
	if value := recover(); value != nil {
		sink.Panicked(value)
		guestlog.Trap()
	}
}
