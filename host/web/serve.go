package web

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/internal/urlpath"
	"github.com/apphost/apphost/mpm"
)

// headerReceived is called by the library between a request's header and its
// body. It hides both that there is a body of known length and that it has to
// be asked for: the library would wait for the start of the body before it
// calls serveRequest, and ask for it before anybody has judged the header.
func headerReceived(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if h.ContentLength() > 0 {
		h.SetContentLength(0) // body.open tells the truth
	}
	if len(h.Peek(fasthttp.HeaderExpect)) > 0 {
		h.Del(fasthttp.HeaderExpect)
	}
	return fasthttp.RequestConfig{}
}

// serveRequest answers one request. The library has read its header and
// calls it on the goroutine of ServeConn.
func (s *Server) serveRequest(ctx *fasthttp.RequestCtx) {
	c := ctx.Conn().(*conn)
	c.startBody()
	c.SetState(mpm.StateWriting)
	x := &c.x
	request := &ctx.Request.Header
	x.begin(ctx)
	c.beginRecord(request.Method(), request.RequestURI(), request.Protocol())
	f, err := parseHeader(&x.request, request.RawHeaders(), request.IsHTTP11())
	c.recordFields()
	if err != nil {
		s.refuseRequest(x, refusalStatus(err), err)
		return
	}
	if !bytes.HasPrefix(request.Protocol(), []byte("HTTP/1.")) {
		s.refuseRequest(x, refusalStatus(errVersion), errVersion)
		return
	}
	x.last = f.close || request.ConnectionClose()
	x.close = x.last || s.isLast(c.record.trace.Requests())
	known := int64(0)
	switch {
	case f.chunked:
		known = -1
	case f.length:
		known = f.bytes
	}
	x.last = x.last && known == 0 // old clients send an empty line behind a body
	if known > s.config.BodyBytesMax {
		s.refuseRequest(x, refusalStatus(errBodyTooLarge), errBodyTooLarge)
		return
	}
	if err := x.setTarget(request.Method(), request.RequestURI()); err != nil {
		s.refuseRequest(x, refusalStatus(err), err)
		return
	}
	if len(s.requestIDHeader) > 0 {
		x.setRequestID(s.requestIDHeader, s.config.TrustRequestID)
	}
	x.body.open(x, known, s.config.BodyBytesMax, f.awaited)
	s.answer(x)
}

// isLast reports whether the nth request of a connection is the last one.
func (s *Server) isLast(n uint64) bool {
	limit := s.config.RequestsPerConnection
	return limit > 0 && n >= uint64(limit)
}

// answer has the request answered by the handler at its path, or at that to
// which it was rerouted.
func (s *Server) answer(x *exchangeState) {
	for {
		x.rerouted = false
		err := s.dispatch(x)
		x.c.endDuplex()
		if err != nil || !x.rerouted {
			x.finish(err)
			return
		}
	}
}

// dispatch has the request answered once.
func (s *Server) dispatch(x *exchangeState) error {
	var path []byte // stays empty, and finds nothing, for "*" and CONNECT
	if x.uri[0] == '/' {
		path = urlpath.Clean(&x.pathBuffer, x.uri)
	}
	var host []byte
	if s.routes.byHost() {
		host = x.host()
	}
	m := s.routes.find(host, path, x.method)
	x.c.record.entry.Route = m.route
	switch {
	case m.handler != nil:
		return m.handler.Serve(x.c.ctx, x)
	case m.location != "":
		x.redirect(m.location)
	case m.allow != nil:
		x.plain(fasthttp.StatusMethodNotAllowed)
		x.own("Allow", m.allowed())
	case string(path) == "/":
		s.servePage(x)
	default:
		x.plain(fasthttp.StatusNotFound)
	}
	return nil
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

// Both sides of the seam.
var (
	_ exchange.Exchange = (*exchangeState)(nil)
	_ exchange.Measurer = (*exchangeState)(nil)
)
