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
		s.config.Logger.Debug("request refused", "connection", c.ID(), "remote", c.remoteAddr(), "status", fasthttp.StatusBadRequest, "error", err)
		x.refuse(fasthttp.StatusBadRequest)
		return
	}
	x.close = f.close || request.ConnectionClose() || c.Stopping()
	if protocol := request.Protocol(); !bytes.HasPrefix(protocol, []byte("HTTP/1.")) {
		x.refuse(fasthttp.StatusHTTPVersionNotSupported)
		return
	}
	known := int64(0)
	switch {
	case f.chunked:
		known = -1
	case f.length:
		known = int64(request.ContentLength())
	}
	if known > s.config.BodyBytesMax {
		x.refuse(fasthttp.StatusRequestEntityTooLarge)
		return
	}
	x.body.open(&ctx.Request, known, s.config.BodyBytesMax, &x.requestTrailers)
	x.setTarget(request.Method(), request.RequestURI())

	h, location := s.routes.find(ctx.Path())
	switch {
	case h != nil:
		x.finish(h.Serve(c.ctx, x))
	case location != "":
		x.redirect(location)
		x.finish(nil)
	case len(ctx.Path()) == 1 && x.originForm():
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
	status := fasthttp.StatusBadRequest
	var tooSmall *fasthttp.ErrSmallBuffer
	var network net.Error
	switch {
	case errors.As(err, &tooSmall):
		status = fasthttp.StatusRequestHeaderFieldsTooLarge
	case errors.As(err, &network) && network.Timeout():
		status = fasthttp.StatusRequestTimeout
	}
	if !c.muted {
		s.config.Logger.Debug("request refused", "connection", c.ID(), "remote", c.remoteAddr(), "status", status, "error", err)
	}
	c.x.begin(ctx)
	c.x.refuse(status)
}

// Both sides of the seam.
var _ exchange.Exchange = (*exchangeState)(nil)
