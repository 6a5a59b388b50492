package connguest

import (
	"os"
	"syscall"
	"unsafe"

	"github.com/apphost/apphost/sdk/abi"
	"github.com/apphost/apphost/sdk/internal/guestlog"
	_ "github.com/apphost/apphost/sdk/internal/room" // for its init
)

//go:wasmimport apphost_v1 conn_read
//go:noescape
func importRead(p unsafe.Pointer, n uint32) int32

//go:wasmimport apphost_v1 conn_write
//go:noescape
func importWrite(p unsafe.Pointer, n uint32) int32

//go:wasmimport apphost_v1 conn_shutdown
func importShutdown(how uint32) int32

//go:wasmimport apphost_v1 conn_info
//go:noescape
func importInfo(key uint32, p unsafe.Pointer, limit uint32) int32

//go:wasmimport apphost_v1 conn_set_timeout
func importSetTimeout(which, ms uint32) int32

//go:wasmimport apphost_v1 config_get
//go:noescape
func importConfig(key unsafe.Pointer, keyLen uint32, p unsafe.Pointer, limit uint32) int32

//go:wasmimport apphost_v1 log
//go:noescape
func importLog(level int32, p unsafe.Pointer, n uint32) int32

//go:wasmimport apphost_v1 accept
func importAccept() int32

//go:wasmimport apphost_v1 stopping
func importStopping() int32

// sink is the ABI's log. It has no way to ask which levels are kept.
var sink = guestlog.Sink{Log: func(level int32, message string) {
	importLog(level, unsafe.Pointer(unsafe.StringData(message)), uint32(len(message)))
}}

func init() { guestlog.Install(sink) }

// failure turns a negative result into an error. On wasip1 syscall.Errno has
// the ABI's numbers, so only the timeout needs another name, the one that
// net.Conn promises.
func failure(result int32) error {
	if result == -int32(abi.ETIMEDOUT) {
		return os.ErrDeadlineExceeded
	}
	return syscall.Errno(-result)
}

// read returns 0 and no error at the end of the stream; p is not empty.
func read(p []byte) (int, error) {
	n := importRead(unsafe.Pointer(unsafe.SliceData(p)), uint32(len(p)))
	if n < 0 {
		return 0, failure(n)
	}
	return int(n), nil
}

func write(p []byte) error {
	if n := importWrite(unsafe.Pointer(unsafe.SliceData(p)), uint32(len(p))); n < 0 {
		return failure(n)
	}
	return nil
}

func accept() error {
	if n := importAccept(); n < 0 {
		return failure(n)
	}
	return nil
}

func shutdownWrite() error {
	if n := importShutdown(abi.ShutdownWrite); n < 0 {
		return failure(n)
	}
	return nil
}

func setTimeout(which, ms uint32) error {
	if n := importSetTimeout(which, ms); n < 0 {
		return failure(n)
	}
	return nil
}

// Info is one fact about the connection; key is one of the abi.Info constants.
// It is empty if the fact does not apply.
func Info(key uint32) string {
	value, _ := get(func(p unsafe.Pointer, limit uint32) int32 { return importInfo(key, p, limit) })
	return value
}

// Config is one value of the plugin's configuration.
func Config(key string) (value string, found bool) {
	name := unsafe.Pointer(unsafe.StringData(key))
	return get(func(p unsafe.Pointer, limit uint32) int32 {
		return importConfig(name, uint32(len(key)), p, limit)
	})
}

// Stopping reports whether the child was told to leave.
func Stopping() bool { return importStopping() != 0 }

// get calls a getter, again with a larger buffer where the value does not
// fit. found is false if it fails.
func get(getter func(p unsafe.Pointer, limit uint32) int32) (value string, found bool) {
	buf := make([]byte, 128)
	for {
		n := getter(unsafe.Pointer(unsafe.SliceData(buf)), uint32(len(buf)))
		switch {
		case n < 0:
			return "", false
		case int(n) <= len(buf):
			return string(buf[:n]), true
		}
		buf = make([]byte, n)
	}
}
