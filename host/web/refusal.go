package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"

	"github.com/valyala/fasthttp"
)

// refuse is the library's error handler: it could not read a request. The
// library closes the connection after it.
func (s *Server) refuse(ctx *fasthttp.RequestCtx, err error) {
	c := ctx.Conn().(*conn)
	c.x.begin(ctx)
	if errors.As(err, new(*fasthttp.ErrSmallBuffer)) {
		err = errHeaderTooLarge // in the words of our settings
	}
	method, target, protocol := c.requestLine()
	switch {
	case c.muted || c.record.open:
	case method != nil:
		c.beginRecord(method, target, protocol)
	default:
		c.beginLine()
	}
	s.refuseRequest(&c.x, refusalStatus(err), err)
}

// refuseRequest answers a request that is not served, and ends the
// connection.
func (s *Server) refuseRequest(x *exchangeState, status int, err error) {
	x.refused(status, err)
	x.render()
}

// refused makes the response one that refuses the request for err.
func (x *exchangeState) refused(status int, err error) {
	c := x.c
	if log := c.server.config.Logger; !c.muted && log.Enabled(c.ctx, slog.LevelDebug) {
		log = log.With("connection", c.ID(), "request", c.record.trace.ID(), "remote", c.remoteAddr())
		if method, target, _ := c.requestLine(); method != nil {
			log = log.With("method", string(method), "target", string(withoutPasswords(&c.record.buffer, method, target)))
		}
		log.Debug("request refused", "status", status, "error", reason(err))
	}
	c.refused = true
	x.plain(status)
	x.close = true
}

// refusalStatus is the status for a request that could not be read.
func refusalStatus(err error) int {
	var network net.Error
	switch {
	case errors.Is(err, errHeaderTooLarge), errors.As(err, new(*fasthttp.ErrSmallBuffer)), errors.Is(err, errTooManyFields):
		return fasthttp.StatusRequestHeaderFieldsTooLarge
	case errors.As(err, &network) && network.Timeout():
		return fasthttp.StatusRequestTimeout
	case errors.Is(err, errBodyTooLarge):
		return fasthttp.StatusRequestEntityTooLarge
	case errors.Is(err, errExpectation):
		return fasthttp.StatusExpectationFailed
	case errors.Is(err, errVersion):
		return fasthttp.StatusHTTPVersionNotSupported
	}
	return fasthttp.StatusBadRequest
}

var errHeaderTooLarge = errors.New("the request line and header are larger than header_bytes_max")

var errVersion = errors.New("not a version of HTTP/1")

// lineBytesMax is the longest request line that is kept.
const lineBytesMax = 512

// keepLine keeps the request line at the start of what was read, for the logs: the
// library forgets that of a request which it refuses.
func (c *conn) keepLine(read []byte) {
	if end := bytes.IndexByte(read[:min(len(read), lineBytesMax)], '\n'); end > 0 {
		c.line = append(c.line, read[:end]...)
	}
}

// requestLine is the request line in its parts, or nil if it is not known: it was
// not one, was too long, or came behind the request before.
func (c *conn) requestLine() (method, target, protocol []byte) {
	method, rest, _ := bytes.Cut(bytes.TrimSuffix(c.line, []byte("\r")), []byte(" "))
	target, protocol, ok := bytes.Cut(rest, []byte(" "))
	if !ok || !validName(method) || len(target) == 0 || !bytes.HasPrefix(protocol, []byte("HTTP/")) || bytes.IndexByte(protocol, ' ') >= 0 {
		return nil, nil, nil
	}
	return method, target, protocol
}

// Reasons to refuse a request that the library finds.
var (
	errRequestLine = errors.New("the request line is not a method, a target and a version of HTTP")
	errNoHost      = errors.New("there is no Host")                       // RFC 9112, section 3.2
	errTwoHosts    = errors.New("there is more than one Host")            // section 3.2
	errLengths     = errors.New("there is more than one Content-Length")  // section 6.3
	errLength      = errors.New("Content-Length is not a number")         // section 6.3
	errValue       = errors.New("a header value has a control character") // RFC 9110, section 5.5
	errNoColon     = errors.New("a header line has no colon")             // RFC 9112, section 5
	errChunk       = errors.New("a chunk's size or end is not valid")     // section 7.1
	errTrailer     = errors.New("a trailer is not valid")                 // section 7.1.2
	errSlowHeader  = errors.New("the header took longer than header_timeout")
	errSlowBody    = errors.New("the body took longer than body_timeout, or body_grace and body_rate_min, allow")
	errCutOff      = errors.New("the client ended in the middle of the request")
	errTrailers    = errors.New("the trailers are larger than header_bytes_max")
	errMalformed   = errors.New("the request is malformed")
)

// libraryReasons are ours for the library's, by what its texts have in them: most
// of its errors have no value to compare with. The first that fits counts.
var libraryReasons = [...]struct {
	text   string
	reason error
}{
	{"header key", errName},
	{"header value", errValue},
	{"trailer", errTrailer},
	{"cannot start with space", errFolded},
	{"malformed MIME header", errNoColon},
	{"too many Host", errTwoHosts},
	{"missing required Host", errNoHost},
	{fasthttp.ErrDuplicateContentLength.Error(), errLengths},
	{"cannot parse Content-Length", errLength},
	{fasthttp.ErrUnsupportedTransferEncoding.Error(), errCoding},
	{"chunk", errChunk},
	{"invalid requestURI", errTarget},
	{fasthttp.ErrEmptyRequestURI.Error(), errTarget},
	{fasthttp.ErrMissingRequestMethod.Error(), errRequestLine},
	{fasthttp.ErrUnsupportedRequestMethod.Error(), errRequestLine},
	{"first line of request", errRequestLine},
	{"unsupported HTTP version", errRequestLine},
}

// ourReasons say what they mean as they are.
var ourReasons = [...]error{
	errHeaderTooLarge, errVersion, errBodyTooLarge, errTooManyFields, errBareLineEnd, errFolded, errName, errTwoLengths, errCoding,
	errCodingBefore, errAuthority, errTarget, errExpectation,
}

// reason says why a request was refused, in words of ours.
func reason(err error) error {
	for _, ours := range ourReasons {
		if errors.Is(err, ours) {
			return err
		}
	}
	body := strings.HasPrefix(err.Error(), readBody)
	var network net.Error
	switch {
	case errors.As(err, &network) && network.Timeout():
		if body {
			return errSlowBody
		}
		return errSlowHeader
	case errors.As(err, new(*fasthttp.ErrSmallBuffer)):
		return errTrailers // of a header it is errHeaderTooLarge already
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errCutOff
	}
	for _, r := range libraryReasons {
		if strings.Contains(err.Error(), r.text) {
			return r.reason
		}
	}
	if body {
		return errChunk
	}
	if errors.As(err, &network) {
		return fmt.Errorf("the connection broke: %w", err)
	}
	return errMalformed
}
