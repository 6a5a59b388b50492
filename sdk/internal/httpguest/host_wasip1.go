package httpguest

import (
	"strings"
	"unsafe"

	"github.com/apphost/apphost/sdk/abi"
	"github.com/apphost/apphost/sdk/internal/guestlog"
	_ "github.com/apphost/apphost/sdk/internal/room" // for its init
)

//go:wasmimport http_handler get_config
//go:noescape
func importConfig(p unsafe.Pointer, limit uint32) uint32

//go:wasmimport http_handler log_enabled
func importLogEnabled(level int32) uint32

//go:wasmimport http_handler log
//go:noescape
func importLog(level int32, p unsafe.Pointer, n uint32)

//go:wasmimport http_handler get_method
//go:noescape
func importMethod(p unsafe.Pointer, limit uint32) uint32

//go:wasmimport http_handler get_uri
//go:noescape
func importURI(p unsafe.Pointer, limit uint32) uint32

//go:wasmimport http_handler get_protocol_version
//go:noescape
func importProtocol(p unsafe.Pointer, limit uint32) uint32

//go:wasmimport http_handler get_source_addr
//go:noescape
func importSourceAddr(p unsafe.Pointer, limit uint32) uint32

//go:wasmimport http_handler get_header_names
//go:noescape
func importHeaderNames(kind uint32, p unsafe.Pointer, limit uint32) uint64

//go:wasmimport http_handler get_header_values
//go:noescape
func importHeaderValues(kind uint32, name unsafe.Pointer, nameLen uint32, p unsafe.Pointer, limit uint32) uint64

//go:wasmimport http_handler set_header_value
//go:noescape
func importSetHeader(kind uint32, name unsafe.Pointer, nameLen uint32, value unsafe.Pointer, valueLen uint32)

//go:wasmimport http_handler add_header_value
//go:noescape
func importAddHeader(kind uint32, name unsafe.Pointer, nameLen uint32, value unsafe.Pointer, valueLen uint32)

//go:wasmimport http_handler remove_header
//go:noescape
func importRemoveHeader(kind uint32, name unsafe.Pointer, nameLen uint32)

//go:wasmimport http_handler read_body
//go:noescape
func importReadBody(kind uint32, p unsafe.Pointer, n uint32) uint64

//go:wasmimport http_handler write_body
//go:noescape
func importWriteBody(kind uint32, p unsafe.Pointer, n uint32)

//go:wasmimport http_handler set_status_code
func importSetStatus(code uint32)

// Log is the ABI's log.
var Log = guestlog.Sink{
	Enabled: func(level int32) bool { return importLogEnabled(level) != 0 },
	Log: func(level int32, message string) {
		p, n := text(message)
		importLog(level, p, n)
	},
}

func init() { guestlog.Install(Log) }

// Config is the plugin's configuration, a JSON object; empty if there is none.
func Config() []byte { return []byte(get(importConfig)) }

// Server is the exchange that the server called the guest for.
type Server struct{}

// Method implements Exchange, as the methods below do.
func (Server) Method() string     { return get(importMethod) }
func (Server) URI() string        { return get(importURI) }
func (Server) Protocol() string   { return get(importProtocol) }
func (Server) RemoteAddr() string { return get(importSourceAddr) }

func (Server) HeaderNames(kind uint32) []string {
	return list(func(p unsafe.Pointer, limit uint32) uint64 { return importHeaderNames(kind, p, limit) })
}

func (Server) HeaderValues(kind uint32, name string) []string {
	key, keyLen := text(name)
	return list(func(p unsafe.Pointer, limit uint32) uint64 {
		return importHeaderValues(kind, key, keyLen, p, limit)
	})
}

func (Server) SetHeader(kind uint32, name, value string) {
	key, keyLen := text(name)
	p, n := text(value)
	importSetHeader(kind, key, keyLen, p, n)
}

func (Server) AddHeader(kind uint32, name, value string) {
	key, keyLen := text(name)
	p, n := text(value)
	importAddHeader(kind, key, keyLen, p, n)
}

func (Server) RemoveHeader(kind uint32, name string) {
	key, keyLen := text(name)
	importRemoveHeader(kind, key, keyLen)
}

func (Server) ReadBody(p []byte) (n int, ended bool) {
	r := importReadBody(abi.BodyRequest, unsafe.Pointer(unsafe.SliceData(p)), uint32(len(p)))
	return int(uint32(r)), r>>32 != 0
}

func (Server) SetStatus(code int) { importSetStatus(uint32(code)) }

func (Server) WriteBody(p []byte) {
	importWriteBody(abi.BodyResponse, unsafe.Pointer(unsafe.SliceData(p)), uint32(len(p)))
}

func text(s string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(s)), uint32(len(s))
}

// get calls a getter, again with a larger buffer where the value does not fit.
func get(getter func(p unsafe.Pointer, limit uint32) uint32) string {
	buf := make([]byte, 256)
	for {
		n := getter(unsafe.Pointer(unsafe.SliceData(buf)), uint32(len(buf)))
		if int(n) <= len(buf) {
			return string(buf[:n])
		}
		buf = make([]byte, n)
	}
}

// list calls a getter of a list, which is count<<32 | bytes and
// NUL-terminated strings.
func list(getter func(p unsafe.Pointer, limit uint32) uint64) []string {
	buf := make([]byte, 256)
	for {
		r := getter(unsafe.Pointer(unsafe.SliceData(buf)), uint32(len(buf)))
		count, n := int(r>>32), int(uint32(r))
		switch {
		case count == 0:
			return nil
		case n <= len(buf):
			return strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00")
		}
		buf = make([]byte, n)
	}
}
