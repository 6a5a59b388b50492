// Package abi names what a guest and the host agree on: modules, functions,
// numbers. It holds constants only and imports nothing, so that the host and
// every SDK can share it.
//
// All values are i32 unless a signature says i64. A pointer is an offset into
// the guest's exported memory.
package abi

// What a guest exports.
const (
	// Memory is the exported linear memory. Required in both ABIs.
	Memory = "memory"
	// Initialize is the WASI reactor's start function: () → (). If exported,
	// the host calls it once, before any other function.
	Initialize = "_initialize"
	// Start is the WASI command's start function: () → (). The host calls it
	// once, before any other function, in a guest that exports it and not
	// Initialize; to exit with code 0 is to be initialised.
	Start = "_start"
)

// ConnModule is the import module of the conn ABI. Its functions block the
// guest, and a negative result is a negated [Errno].
//
// A getter (conn_info, config_get) returns the length of the value. A value
// longer than limit is not written at all: the guest asks again with a larger
// buffer.
const ConnModule = "apphost_v1"

// What a guest of the conn ABI exports besides [Memory].
const (
	// ProcessConnection serves the instance's connection: () → i32. 0 means
	// done, anything else is logged as the handler's error. The host closes
	// the connection afterwards. Required.
	ProcessConnection = "process_connection"
	// ChildInit prepares a fresh instance: () → i32. The host calls it in each,
	// right after [Initialize]; every connection has an instance of its own, as
	// child_init left it. There is no
	// connection yet: the conn_ functions return -ENOTCONN. Non-zero makes
	// the plugin unusable. Optional.
	ChildInit = "child_init"
)

// What a guest of the conn ABI may import from [ConnModule].
const (
	// ConnRead reads what has arrived, at least one byte:
	// (ptr, len) → bytes read, 0 at the end of the stream.
	// A len that reaches beyond the memory is cut at its end; a len of 0 is
	// -EINVAL, because 0 would look like the end of the stream.
	// Errors: -EFAULT, -EINVAL, -ETIMEDOUT, -ECONNRESET, -ENOTCONN, -EIO.
	ConnRead = "conn_read"
	// ConnWrite writes all of it: (ptr, len) → len.
	// Errors: -EFAULT, -EINVAL (len over 2^31-1), -ETIMEDOUT, -ECONNRESET,
	// -EPIPE, -ENOTCONN, -EIO. After an error an unknown part was written.
	ConnWrite = "conn_write"
	// ConnShutdown ends one direction: (how) → 0, how is [ShutdownWrite].
	// Errors: -EINVAL, -EPIPE, -ENOTCONN, -EIO.
	ConnShutdown = "conn_shutdown"
	// ConnInfo is a getter for a fact about the connection:
	// (key, ptr, limit) → length, key is one of the Info constants. A fact
	// that does not apply, such as the TLS server name of a plain
	// connection, has length 0.
	// Errors: -EFAULT, -EINVAL (unknown key), -ENOTCONN.
	ConnInfo = "conn_info"
	// ConnSetTimeout bounds each later read or write, each on its own:
	// (which, ms) → 0, which is [TimeoutRead] or [TimeoutWrite]. An ms of 0
	// goes back to the default, which is the listener's read_timeout or
	// write_timeout.
	// Errors: -EINVAL, -ENOTCONN.
	ConnSetTimeout = "conn_set_timeout"
	// ConfigGet is a getter for one value of the plugin's own configuration,
	// as text: (key_ptr, key_len, ptr, limit) → length. The empty key gives
	// the whole configuration as one JSON object.
	// Errors: -EFAULT, -ENOENT.
	ConfigGet = "config_get"
	// Log writes a line to the error log: (level, ptr, len) → 0, level is
	// one of the Level constants. A message over [LogBytesMax] is cut there.
	// Of one connection or request, more than 64 KiB a minute are dropped.
	// Errors: -EFAULT, -EINVAL (unknown level).
	Log = "log"
	// Accept waits for a connection and makes it the one that the conn_
	// functions are about: () → 0. The connection before it is closed. A module
	// that imports it is a program, which begins at [Start] and calls it in a
	// loop; it exports neither [ProcessConnection] nor [ChildInit], or in vain.
	Accept = "accept"
	// Stopping returns 1 once the child was told to leave, else 0: () → i32.
	// A long-lived protocol then says goodbye and returns.
	Stopping = "stopping"
)

// Keys of [ConnInfo].
const (
	InfoPeerAddr      = 1 // HOST:PORT of the client
	InfoLocalAddr     = 2 // HOST:PORT it connected to
	InfoListener      = 3 // name of the listener
	InfoTLSServerName = 4 // the name the client asked for
	InfoALPN          = 5 // the negotiated application protocol
	InfoConnID        = 6 // such as g7-s3-42: generation, slot, number
)

// ShutdownWrite is the how of [ConnShutdown] that ends the write side.
const ShutdownWrite = 1

// Directions of [ConnSetTimeout].
const (
	TimeoutRead  = 1
	TimeoutWrite = 2
)

// HTTPModule is the import module of the http-wasm handler ABI, as published
// at https://http-wasm.io/http-handler-abi/.
//
// A getter returns the length of the value and writes nothing if that is more
// than limit. A list of values is a sequence of NUL-terminated strings, and
// its getter returns count<<32 | bytes. No function reports an error: a
// pointer outside the memory, or a call out of order, traps.
const HTTPModule = "http_handler"

// What a guest of the http-wasm ABI exports besides [Memory].
const (
	// HandleRequest answers a request: () → i64, ctx<<32 | next. With next 0
	// the response is complete; with next 1 the chain continues, and
	// [HandleResponse] gets the ctx. Required.
	HandleRequest = "handle_request"
	// HandleResponse is called after the next handler of the chain:
	// (ctx, is_error) → (). Required by the published ABI; here only needed
	// by a guest that returns next 1.
	HandleResponse = "handle_response"
)

// What a guest of the http-wasm ABI may import from [HTTPModule].
const (
	EnableFeatures  = "enable_features"      // (features) → features now enabled
	GetConfig       = "get_config"           // (buf, limit) → len; a JSON object
	LogEnabled      = "log_enabled"          // (level) → 0 or 1
	HTTPLog         = "log"                  // (level, ptr, len)
	GetMethod       = "get_method"           // (buf, limit) → len
	SetMethod       = "set_method"           // (ptr, len)
	GetURI          = "get_uri"              // (buf, limit) → len
	SetURI          = "set_uri"              // (ptr, len)
	GetProtocol     = "get_protocol_version" // (buf, limit) → len; "HTTP/1.1"
	GetSourceAddr   = "get_source_addr"      // (buf, limit) → len; HOST:PORT
	GetHeaderNames  = "get_header_names"     // (kind, buf, limit) → i64
	GetHeaderValues = "get_header_values"    // (kind, name, name_len, buf, limit) → i64
	SetHeaderValue  = "set_header_value"     // (kind, name, name_len, value, value_len)
	AddHeaderValue  = "add_header_value"     // (kind, name, name_len, value, value_len)
	RemoveHeader    = "remove_header"        // (kind, name, name_len)
	ReadBody        = "read_body"            // (kind, buf, len) → i64 eof<<32 | len, full unless eof; len 0 traps
	WriteBody       = "write_body"           // (kind, ptr, len); the first call replaces
	GetStatusCode   = "get_status_code"      // () → status
	SetStatusCode   = "set_status_code"      // (status)
)

// Kinds of header block.
const (
	HeaderRequest          = 0
	HeaderResponse         = 1
	HeaderRequestTrailers  = 2
	HeaderResponseTrailers = 3
)

// Kinds of body.
const (
	BodyRequest  = 0
	BodyResponse = 1
)

// Features, a bit set.
const (
	FeatureBufferRequest  = 1 // handle_request may read the body and pass it on
	FeatureBufferResponse = 2 // handle_response may read and replace the response
	FeatureTrailers       = 4 // trailers can be read and written
)

// Levels of both ABIs' log functions.
const (
	LevelDebug = -1
	LevelInfo  = 0
	LevelWarn  = 1
	LevelError = 2
	// LevelNone is http-wasm's "nothing is logged"; a message at it is
	// dropped. The conn ABI does not have it.
	LevelNone = 3
)

// LogBytesMax is the longest log message that is kept whole.
const LogBytesMax = 2 << 10

// Errno is an error number. The numbers are those of WASI preview 1, so that
// a guest's libc has names and texts for them.
type Errno int32

// The error numbers that host functions return, negated.
const (
	ECONNRESET Errno = 15 // the peer cut the connection
	EFAULT     Errno = 21 // a pointer or length reaches outside the memory
	EINVAL     Errno = 28 // a number is none of those allowed
	EIO        Errno = 29 // any other failure; the host's log has it
	ENOENT     Errno = 44 // no such configuration key
	ENOTCONN   Errno = 53 // there is no connection, as in child_init
	EPIPE      Errno = 64 // the connection is closed for writing
	ETIMEDOUT  Errno = 73 // the read or write took longer than its timeout
)
