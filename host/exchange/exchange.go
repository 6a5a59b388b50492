// Package exchange is the seam between a protocol that carries requests
// (host/web: HTTP/1.1 now, HTTP/2 later) and whatever answers them (a guest
// ABI, files, a proxy). It holds no code, so that neither
// side imports the other.
package exchange

import (
	"context"
	"io"
	"time"
)

// Kind selects one of the header blocks of an exchange. The numbers are those
// of the http-wasm ABI.
type Kind uint32

// The header blocks.
const (
	Request          Kind = 0
	Response         Kind = 1
	RequestTrailers  Kind = 2
	ResponseTrailers Kind = 3
)

// Handler answers requests. Serve is called by many goroutines at a time.
type Handler interface {
	// Serve answers x. An error means that the handler failed: the response
	// becomes 500 without details if none of it was sent yet, 504 if the error
	// is ErrTimeout, or says what was wrong with the request's body if that
	// could not be read, else the stream is cut off. Serve has logged the cause.
	Serve(ctx context.Context, x Exchange) error
}

// Link is a handler that may pass a request on to the one behind it, before or
// after work of its own.
type Link interface {
	Handler

	// ServeWith is Serve with a next handler, which it calls at most once, on
	// the same goroutine. Serve is ServeWith without one.
	ServeWith(ctx context.Context, x Exchange, next Handler) error
}

// Exchange is one request and its response. One goroutine uses it at a time,
// and only until Serve returns. Byte slices it returns are valid until the
// next call; of those it is given it keeps copies.
type Exchange interface {
	// Method, URI and Protocol are the request line. URI is the request
	// target: path and query as received, "/" if empty.
	Method() []byte
	URI() []byte
	Protocol() string
	SetMethod(method []byte)
	SetURI(uri []byte)

	// RemoteAddr is the peer, LocalAddr our end, HOST:PORT or the path of a
	// Unix socket.
	RemoteAddr() string
	LocalAddr() string

	// Header gives access to a header block. Names are case-insensitive.
	// Changing the response block fails with ErrSent once it was sent.
	Header(kind Kind) Header

	// Body reads the request's body. It may be Sized: what the header says of
	// its length need not be true of what handlers before have left of it.
	Body() io.Reader

	// Status is the response's status code, 200 until set.
	Status() int
	// SetStatus sets it. It fails with ErrSent once the header was sent.
	SetStatus(code int) error

	// Write adds p to the response's body. The first Write is held back, so
	// that a handler that writes once gets a response with Content-Length;
	// the second one sends the header and what was held, and from then on
	// each Write is sent as it is made. An empty Write after another one
	// thereby flushes. It fails when the client is gone, and with ErrLength when
	// the body becomes longer than its Content-Length.
	Write(p []byte) (int, error)
}

// Measurer is an exchange that knows whether the body that was written to it is as
// long as its header says.
type Measurer interface {
	// LengthError is ErrLength if the body is not, once a response is written.
	LengthError() error
}

// Rerouter is an exchange that can be answered by whatever answers another
// target.
type Rerouter interface {
	// Reroute drops the response, and has a GET of target answered instead when
	// the handler has returned without an error. It fails with ErrSent if the
	// response was sent, with ErrInvalid if target is none, and with ErrTooOften
	// if it was reached by too many of these.
	Reroute(target []byte) error
}

// Bounded is an exchange whose reads and writes can have an end, besides their own
// timeouts.
type Bounded interface {
	// Bound makes reads of Body and writes that wait longer than until fail, and
	// returns what held before; the zero time is never.
	Bound(until time.Time) (before time.Time)
}

// Sized is a Body that knows its length.
type Sized interface {
	// Remaining is how many bytes are still to be read, -1 if only their end
	// will tell.
	Remaining() int64
}

// Sink is an exchange that knows when its response has no body to be sent: of HEAD
// for example.
type Sink interface {
	// Dropping reports that no Write of this response has to wait any more. It
	// is not before the header was sent.
	Dropping() bool
}

// Duplexer is an exchange whose request can be read while it is answered.
type Duplexer interface {
	// Duplex lets one other goroutine read Body, then the request's trailers,
	// and call Gone, while that of Serve goes on with everything else. The client
	// is asked for the body if it waits for that. Serve must not return before
	// that goroutine has ended. With an error nothing has changed.
	Duplex() (Duplex, error)
}

// Duplex is the client's side of an exchange that is read beside its answer.
type Duplex interface {
	// Gone waits, once Body is at its end, and reports whether the client has
	// closed the connection, or its side of it. It returns false when the client
	// has sent more, the next request, or was interrupted.
	Gone() bool
	// Interrupt ends a Read of Body or a Gone that is under way, and later ones.
	// Whoever may call it at any time until Serve returns. What is left of the
	// body can no longer be read.
	Interrupt()
}

// Upgrader is an exchange that can make its connection one of another protocol
// (RFC 9110, section 7.8).
type Upgrader interface {
	// CanUpgrade reports whether Upgrade is possible.
	CanUpgrade() bool
	// Upgrade sends the response's header with the status 101 and that
	// protocol. then gets the connection after Serve has returned, and always,
	// so that it can free what it has; if Serve fails, nothing can be read
	// or written there. When it returns, the connection ends. It fails with
	// ErrSent if the response was sent, and with ErrUnsupported or ErrInvalid.
	Upgrade(protocol []byte, then func(Stream)) error
}

// Stream is a connection after an upgrade. One goroutine may read while another
// one writes, and anyone may set the deadlines, as with a net.Conn.
type Stream interface {
	io.ReadWriter
	// CloseWrite tells the client that nothing more will be written.
	CloseWrite() error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// Header is one header block.
type Header interface {
	// Names calls yield for each name once, in order of first appearance,
	// until it returns false.
	Names(yield func(name []byte) bool)
	// Values calls yield for each value of name, in order.
	Values(name []byte, yield func(value []byte) bool)
	Set(name, value []byte) error
	Add(name, value []byte) error
	Remove(name []byte) error
}

// Error is a failure a handler may tell apart.
type Error string

func (e Error) Error() string { return string(e) }

const (
	// ErrSent refuses a change to a response that is on its way.
	ErrSent = Error("the response header was already sent")
	// ErrInvalid refuses a header name or value that HTTP does not allow.
	ErrInvalid = Error("not a valid header name or value")
	// ErrTimeout is of a handler that took too long.
	ErrTimeout = Error("the handler took too long")
	// ErrLength refuses a response that is longer or shorter than it says.
	ErrLength = Error("the body is not as long as its Content-Length says")
	// ErrTooOften refuses to pass a request on once more.
	ErrTooOften = Error("the request was passed on too often")
	// ErrUnsupported refuses what this exchange, or this connection, cannot do.
	ErrUnsupported = Error("not possible on this connection")
)
