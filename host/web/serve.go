package web

import (
	"bytes"
	"errors"
	"net"

	"github.com/valyala/fasthttp"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/mpm"
)

// serveRequest answers one request. The library has read its header and
// calls it on the goroutine of ServeConn.
func (s *Server) serveRequest(ctx *fasthttp.RequestCtx) {
	c := ctx.Conn().(*conn)
	c.phase = inBody
	c.SetState(mpm.StateWriting)
	x := &c.x
	request := &ctx.Request.Header
	x.begin(ctx)
	f, err := parseHeader(&x.request, request.RawHeaders(), request.IsHTTP11())
	if err != nil {
		s.refuseRequest(x, refusalStatus(err), err)
		return
	}
	if !bytes.HasPrefix(request.Protocol(), []byte("HTTP/1.")) {
		s.refuseRequest(x, fasthttp.StatusHTTPVersionNotSupported, errVersion)
		return
	}
	x.close = f.close || request.ConnectionClose()
	known := int64(0)
	switch {
	case f.chunked:
		known = -1
	case f.length:
		known = int64(request.ContentLength())
	}
	if known > s.config.BodyBytesMax {
		s.refuseRequest(x, fasthttp.StatusRequestEntityTooLarge, errBodyTooLarge)
		return
	}
	x.body.open(&ctx.Request, known, s.config.BodyBytesMax, &x.requestTrailers)
	if err := x.setTarget(request.Method(), request.RequestURI()); err != nil {
		s.refuseRequest(x, refusalStatus(err), err)
		return
	}

	var path []byte // stays empty, and finds nothing, for "*" and CONNECT
	if x.uri[0] == '/' {
		path = cleanPath(&x.pathBuffer, x.uri)
	}
	h, location := s.routes.find(path)
	switch {
	case h != nil:
		x.finish(h.Serve(c.ctx, x))
	case location != "":
		x.redirect(location)
		x.finish(nil)
	case string(path) == "/":
		s.servePage(x)
		x.finish(nil)
	default:
		x.plain(fasthttp.StatusNotFound)
		x.finish(nil)
	}
}

// servePage answers with the page at "/".
func (s *Server) servePage(x *exchangeState) {
	if m := string(x.Method()); m != "GET" && m != "HEAD" {
		x.plain(fasthttp.StatusMethodNotAllowed)
		x.own("Allow", "GET, HEAD")
		return
	}
	x.own("Content-Type", "text/html; charset=utf-8")
	x.own("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	x.hold(s.page)
}

// refuse is the library's error handler: it could not read a request. The
// library closes the connection after it.
func (s *Server) refuse(ctx *fasthttp.RequestCtx, err error) {
	c := ctx.Conn().(*conn)
	c.x.begin(ctx)
	s.refuseRequest(&c.x, refusalStatus(err), err)
}

// refuseRequest answers a request that is not served, and ends the
// connection.
func (s *Server) refuseRequest(x *exchangeState, status int, err error) {
	if !x.c.muted {
		s.config.Logger.Debug("request refused", "connection", x.c.ID(), "remote", x.c.remoteAddr(), "status", status, "error", err)
	}
	x.c.refused = true
	x.plain(status)
	x.close = true
	x.render()
}

// refusalStatus is the status for a request that could not be read.
func refusalStatus(err error) int {
	var tooSmall *fasthttp.ErrSmallBuffer
	var network net.Error
	switch {
	case errors.As(err, &tooSmall), errors.Is(err, errTooManyFields):
		return fasthttp.StatusRequestHeaderFieldsTooLarge
	case errors.As(err, &network) && network.Timeout():
		return fasthttp.StatusRequestTimeout
	}
	return fasthttp.StatusBadRequest
}

var errVersion = errors.New("not a version of HTTP/1")

// Both sides of the seam.
var _ exchange.Exchange = (*exchangeState)(nil)
