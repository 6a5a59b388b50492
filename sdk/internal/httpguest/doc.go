// Package httpguest is the http-wasm ABI seen from the guest, in Go's types.
// Package sdk/web builds on it.
//
// On wasip1 the functions are imports. Elsewhere package sdk/web/webtest
// implements [Exchange] on net/http.
package httpguest

// Exchange is one request and its response. Header kinds are the abi.Header
// constants. Methods do not fail: what the server cannot do ends the guest.
type Exchange interface {
	Method() string
	// URI is path and query as received.
	URI() string
	// Protocol is such as HTTP/1.1.
	Protocol() string
	// RemoteAddr is the client, HOST:PORT.
	RemoteAddr() string

	HeaderNames(kind uint32) []string
	HeaderValues(kind uint32, name string) []string
	SetHeader(kind uint32, name, value string)
	AddHeader(kind uint32, name, value string)
	RemoveHeader(kind uint32, name string)

	// ReadBody fills p, which is not empty, with more of the request's body,
	// unless that ends before. ended is true if nothing comes after the n bytes.
	ReadBody(p []byte) (n int, ended bool)

	SetStatus(code int)
	// WriteBody adds to the response's body. The server holds the first call
	// back; the second, which may be empty, sends the header and what was
	// held, and each later one is sent as it is made.
	WriteBody(p []byte)
}
