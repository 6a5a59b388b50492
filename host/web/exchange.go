package web

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/apphost/apphost/host/exchange"
)

// exchangeState is one request and its response. Each connection has one and
// uses it for all its requests, so that most need no memory.
type exchangeState struct {
	c    *conn
	http *fasthttp.RequestCtx

	method, uri     []byte
	pathBuffer      []byte // for urlpath.Clean
	hostBuffer      []byte // for hostName
	request         block
	requestTrailers block
	body            body

	status           int
	response         block
	responseTrailers block
	held             []byte
	isHeld           bool  // the first Write was made
	bodySent         int64 // bytes of the response's body that were sent, or are in the output
	close            bool  // no request follows
	last             bool  // by the client's word, which sends nothing more: RFC 9112 section 9.6
	rerouted         bool  // the target has changed, and the response is that of another one
	reroutes         int   // how often that was
	lengthErr        error // the body is longer than the handler said; sticky
	stream           stream
	rendered         bool // the library has the response, and writes it next
}

// begin starts on a request, or on the answer to one that was not read.
func (x *exchangeState) begin(http *fasthttp.RequestCtx) {
	x.http = http
	x.method, x.uri = x.method[:0], x.uri[:0]
	for _, b := range []*block{&x.request, &x.requestTrailers, &x.response, &x.responseTrailers} {
		b.reset()
	}
	x.body = body{err: io.EOF}
	x.status = fasthttp.StatusOK
	x.pathBuffer, x.hostBuffer = reuse(x.pathBuffer), reuse(x.hostBuffer)
	x.held, x.isHeld, x.bodySent = reuse(x.held), false, 0
	x.close, x.last = false, false
	x.rerouted, x.reroutes = false, 0
	x.stream, x.lengthErr, x.rendered = stream{}, nil, false
}

// release forgets what belongs to a request, and memory that is not worth
// keeping.
func (x *exchangeState) release() {
	x.begin(nil)
	x.body = body{}
}

// setTarget sets the request line. A target in absolute form names the host
// too, and then the Host header does not count (RFC 9112, section 3.2.2).
func (x *exchangeState) setTarget(method, target []byte) error {
	uri, authority, err := splitTarget(target)
	if err != nil {
		return err
	}
	x.SetMethod(method)
	if len(uri) == 0 || uri[0] == '?' {
		x.uri = append(x.uri[:0], '/')
		uri = append(x.uri, uri...)
	}
	x.SetURI(uri)
	if authority == nil {
		return nil
	}
	return x.request.set([]byte("Host"), authority)
}

// setRequestID puts the request's id where handlers find it, in place of what
// the client may have put there. If trusted, a sound one of the client's is it.
func (x *exchangeState) setRequestID(name []byte, trusted bool) {
	trace := x.c.record.trace
	if i := x.request.index(name); trusted && i >= 0 {
		trace.Take(x.request.fields[i].value)
	}
	var id [96]byte
	x.request.remove(name)
	(*requestHeader)(&x.request).passOn(name)          // a client cannot have a proxy drop it
	_ = x.request.append(name, trace.AppendID(id[:0])) // it cannot fail
}

// host is the name of the host that the request is for.
func (x *exchangeState) host() []byte {
	x.hostBuffer = x.hostBuffer[:0]
	for i := range x.request.fields {
		if f := &x.request.fields[i]; isName(f.name, "host") {
			x.hostBuffer = hostName(x.hostBuffer, f.value)
			break
		}
	}
	return x.hostBuffer
}

func (x *exchangeState) Method() []byte          { return x.method }
func (x *exchangeState) URI() []byte             { return x.uri }
func (x *exchangeState) SetMethod(method []byte) { x.method = append(x.method[:0], method...) }
func (x *exchangeState) SetURI(uri []byte)       { x.uri = append(x.uri[:0], uri...) }
func (x *exchangeState) RemoteAddr() string      { return x.c.remoteAddr() }
func (x *exchangeState) LocalAddr() string       { return x.c.LocalAddr().String() }
func (x *exchangeState) Status() int             { return x.status }

// Body is the request's body. What is reached by Reroute has none.
func (x *exchangeState) Body() io.Reader {
	if x.reroutes > 0 {
		return emptyBody{}
	}
	return &x.body
}

type emptyBody struct{}

func (emptyBody) Read([]byte) (int, error) { return 0, io.EOF }
func (emptyBody) Remaining() int64         { return 0 }

func (x *exchangeState) Protocol() string {
	if x.http.Request.Header.IsHTTP11() {
		return "HTTP/1.1"
	}
	return string(x.http.Request.Header.Protocol())
}

// SetStatus sets the status. One that is not final, or has not three digits,
// is exchange.ErrInvalid.
func (x *exchangeState) SetStatus(code int) error {
	if x.stream.on {
		return exchange.ErrSent
	}
	if code < 200 || code > 999 {
		return exchange.ErrInvalid
	}
	x.status = code
	return nil
}

// Header returns a block. The response's differs from the others in what a
// handler may set: see responseHeader.
func (x *exchangeState) Header(kind exchange.Kind) exchange.Header {
	switch kind {
	case exchange.Request:
		return (*requestHeader)(&x.request)
	case exchange.RequestTrailers:
		return (*requestHeader)(&x.requestTrailers)
	case exchange.Response:
		return (*responseHeader)(x)
	case exchange.ResponseTrailers:
		return (*responseTrailers)(x)
	}
	panic(fmt.Sprintf("BUG: header kind %d", kind))
}

// Write holds the first piece, and streams from the second on.
func (x *exchangeState) Write(p []byte) (int, error) {
	if x.c.upgrade != nil {
		return 0, exchange.ErrSent
	}
	if !x.isHeld {
		x.hold(p)
		return len(p), nil
	}
	if !x.stream.on {
		length := x.streamLength()
		if all := int64(len(x.held) + len(p)); x.bodyAllowed() && length >= 0 && all > length {
			return 0, x.tooLong(all, length)
		}
		x.startStream(length)
		if err := x.writeStream(x.held); err != nil {
			return 0, err
		}
	}
	if err := x.writeStream(p); err != nil {
		return 0, err
	}
	if err := x.c.flush(); err != nil {
		return 0, fmt.Errorf("write response: %w", err)
	}
	return len(p), nil
}

// Dropping implements exchange.Sink.
func (x *exchangeState) Dropping() bool { return x.stream.on && x.stream.silent }

// Bound implements exchange.Bounded.
func (x *exchangeState) Bound(until time.Time) (before time.Time) {
	before, x.c.until = x.c.until, until
	return before
}

// reroutesMax ends a circle of handlers that refer to each other.
const reroutesMax = 10

// Reroute implements exchange.Rerouter.
func (x *exchangeState) Reroute(target []byte) error {
	if x.stream.on {
		return exchange.ErrSent
	}
	if !validTarget(target) {
		return exchange.ErrInvalid
	}
	if x.reroutes == reroutesMax {
		return fmt.Errorf("%w: %d times is the most", exchange.ErrTooOften, reroutesMax)
	}
	x.reroutes++
	x.rerouted = true
	x.SetMethod([]byte("GET"))
	x.SetURI(target)
	for _, name := range []string{"Content-Length", "Content-Type", "Transfer-Encoding"} {
		x.request.remove([]byte(name))
	}
	x.response.reset()
	x.responseTrailers.reset()
	x.held, x.isHeld, x.status = x.held[:0], false, fasthttp.StatusOK
	return nil
}

// validTarget reports whether target is a path, and maybe a query.
func validTarget(target []byte) bool {
	for _, c := range target {
		if c <= ' ' || c == 0x7f || c == '#' {
			return false
		}
	}
	return len(target) > 0 && target[0] == '/'
}

func (x *exchangeState) hold(p []byte) {
	x.held, x.isHeld = append(x.held, p...), true
}

// own sets a response header of ours, on a response without others of the
// name.
func (x *exchangeState) own(name, value string) {
	_ = x.response.append([]byte(name), []byte(value))
}

// plain makes the response a line that says what its status says.
func (x *exchangeState) plain(status int) {
	x.response.reset()
	x.responseTrailers.reset()
	x.held = x.held[:0]
	x.status = status
	x.own("Content-Type", "text/plain; charset=utf-8")
	x.own("X-Content-Type-Options", "nosniff")
	x.held = strconv.AppendInt(x.held, int64(status), 10)
	x.held = append(x.held, ' ')
	x.hold([]byte(fasthttp.StatusMessage(status) + "\n"))
}

// redirect sends the client to location, with the query it came with, and
// with 308 so that it keeps the method and the body.
func (x *exchangeState) redirect(location string) {
	x.plain(fasthttp.StatusPermanentRedirect)
	if query := bytes.IndexByte(x.uri, '?'); query >= 0 {
		location += string(x.uri[query:])
	}
	x.own("Location", location)
}
