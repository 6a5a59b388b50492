package host

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/apphost/apphost/host/abi/command"
	"github.com/apphost/apphost/host/accesslog"
	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/mpm"
)

// What the scoreboard shows of a tcp connection is "plugin NAME" and "tcp": to
// it, the whole connection is one request.
const (
	recordedMethod   = "plugin"
	recordedProtocol = "tcp"
)

// recorded is a connection that counts what is sent on it, and knows when its
// plugin waits for the client.
type recorded struct {
	mpm.Conn
	id    connID
	sent  int64 // bytes
	trace accesslog.Trace
	watch mpm.Watched // what the connection is besides, or nil
	texts []byte      // memory for what the scoreboard is told
}

var _ mpm.Watched = (*recorded)(nil)

// Run passes on what the model wants to know.
func (r *recorded) Run(name string, budget time.Duration) {
	if r.watch != nil {
		r.watch.Run(name, budget)
	}
}

// Call does, too.
func (r *recorded) Call(name string) {
	if r.watch != nil {
		r.watch.Call(name)
	}
}

// Pause does, too.
func (r *recorded) Pause() {
	if r.watch != nil {
		r.watch.Pause()
	}
}

// Resume does, too.
func (r *recorded) Resume() {
	if r.watch != nil {
		r.watch.Resume()
	}
}

// Continue does, too.
func (r *recorded) Continue() {
	if r.watch != nil {
		r.watch.Continue()
	}
}

func (r *recorded) Read(p []byte) (int, error) {
	paused := r.trace.Pause()
	n, err := r.Conn.Read(p)
	if paused {
		r.trace.Resume()
	}
	return n, err
}

func (r *recorded) Write(p []byte) (int, error) {
	paused := r.trace.Pause()
	n, err := r.Conn.Write(p)
	if paused {
		r.trace.Resume()
	}
	r.sent += int64(n)
	return n, err
}

// ConnectionState is that of a connection that came over TLS, else empty.
func (r *recorded) ConnectionState() tls.ConnectionState {
	if c, ok := r.Conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return c.ConnectionState()
	}
	return tls.ConnectionState{}
}

// begin is called before a connection is served with the plugin.
func (r *recorded) begin(c mpm.Conn, id connID, process, plugin string) {
	r.Conn, r.id, r.sent = c, id, 0
	r.watch, _ = c.(mpm.Watched)
	r.trace.Reset(process, id.number)
	if to, ok := c.(mpm.RequestRecorder); ok {
		const method, protocol = len(recordedMethod), len(recordedProtocol)
		r.texts = append(append(append(r.texts[:0], recordedMethod...), recordedProtocol...), plugin...)
		to.BeginRequest(r.texts[:method], r.texts[method+protocol:], r.texts[method:method+protocol])
	}
}

// end is called when it was.
func (r *recorded) end() {
	if to, ok := r.Conn.(mpm.RequestRecorder); ok {
		to.EndRequest(r.sent)
	}
}

// serveTCP serves a tcp connection with the plugin of its listener, and shows on
// the scoreboard and in the access log, if they want it, what that does.
func (h *Host) serveTCP(ctx context.Context, c mpm.Conn, l listener, id connID) {
	r, ok := h.records.Get().(*recorded)
	if !ok {
		r = new(recorded)
	}
	r.begin(c, id, h.process, l.plugin)
	logged := h.accessLog != nil && h.accessLog.JSON()
	var began time.Time
	if logged {
		began = time.Now()
		r.trace.Time(true)
	}
	r.trace.Enter(l.plugin)
	if l.conn != nil {
		l.conn.ServeConn(ctx, r, l.timeouts, &r.id)
	} else {
		l.command.ServeConn(ctx, r, command.Timeouts(l.timeouts), &r.id)
	}
	r.trace.Leave()
	r.end()
	if logged {
		h.logConnection(r, began)
	}
	r.Conn, r.watch = nil, nil
	h.records.Put(r)
}

// logConnection writes the line of a tcp connection.
func (h *Host) logConnection(c *recorded, began time.Time) {
	var e accesslog.Entry
	e.Begin()
	e.Trace, e.Began, e.Took = &c.trace, began, time.Since(began)
	e.Remote, e.Listener, e.Connection, e.SentBytes = c.RemoteAddr().String(), c.Listener(), c.ID(), c.sent
	e.Request(nil, nil, []byte(recordedProtocol))
	c.SetState(mpm.StateLogging)
	h.accessLog.Write(h.accessLog.Append(nil, &e))
}

// metered tells the access log what plugin a request is with.
type metered struct {
	handler exchange.Handler
	plugin  string
}

func (m *metered) Serve(ctx context.Context, x exchange.Exchange) error {
	t := accesslog.TraceOf(ctx)
	t.Enter(m.plugin)
	err := m.handler.Serve(ctx, x)
	t.Leave()
	return err
}

// meteredLink is metered for a plugin that passes requests on.
type meteredLink struct {
	metered
	link exchange.Link
}

func (m *meteredLink) ServeWith(ctx context.Context, x exchange.Exchange, next exchange.Handler) error {
	t := accesslog.TraceOf(ctx)
	t.Enter(m.plugin)
	err := m.link.ServeWith(ctx, x, next)
	t.Leave()
	return err
}

// meter makes a plugin's handler metered, if there is an access log.
func (h *Host) meter(handler exchange.Handler, plugin string) exchange.Handler {
	if h.accessLog == nil || handler == nil {
		return handler
	}
	m := metered{handler, plugin}
	if link, ok := handler.(exchange.Link); ok {
		return &meteredLink{m, link}
	}
	return &m
}

// unmetered is what answers behind plugins, in time that is not theirs.
type unmetered struct{ exchange.Handler }

func (u unmetered) Serve(ctx context.Context, x exchange.Exchange) error {
	t := accesslog.TraceOf(ctx)
	paused := t.Pause()
	err := u.Handler.Serve(ctx, x)
	if paused {
		t.Resume()
	}
	return err
}
