package host

import (
	"context"
	"log/slog"
	"slices"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/web/fixed"
	"github.com/apphost/apphost/mpm"
)

// quarantine tells which plugins are out of service, by their place in
// Config.Plugins. Without a model nobody decides that.
type quarantine struct {
	model mpm.Quarantine // or nil
	names []string       // of the plugins
	log   *slog.Logger
}

// out reports whether a plugin is out of service.
func (q *quarantine) out(code int) bool { return q.model != nil && q.model.Quarantined(code) }

// number is the place of a plugin, or -1 if there is none.
func (q *quarantine) number(name string) int { return slices.Index(q.names, name) }

// crashed returns what to call when a run of the plugin has crashed.
func (q *quarantine) crashed(name string) func() {
	code := q.number(name)
	if q.model == nil || code < 0 {
		return nil
	}
	return func() { q.model.Failed(code) }
}

// guard keeps requests from plugins that are quarantined.
func (q *quarantine) guard(handler exchange.Handler, plugins ...string) exchange.Handler {
	if q.model == nil || handler == nil || len(plugins) == 0 {
		return handler
	}
	g := &gate{quarantine: q, handler: handler}
	for _, name := range plugins {
		g.codes = append(g.codes, q.number(name))
	}
	return g
}

// gate is a route with plugins. One that is out of service is not passed over: it
// may be there to keep others from what is behind it. Nor are those before it
// run, for an answer that nobody can give.
type gate struct {
	*quarantine
	handler exchange.Handler
	codes   []int
}

func (g *gate) Serve(ctx context.Context, x exchange.Exchange) error {
	for _, code := range g.codes {
		if g.out(code) {
			guest.ConnectionLogger(ctx, g.log).DebugContext(ctx, "request refused: its plugin is quarantined", "plugin", g.names[code])
			return unavailable.Serve(ctx, x)
		}
	}
	return g.handler.Serve(ctx, x)
}

// unavailable is the answer of a route that has a plugin out of service. When it
// is back, somebody decides who has to come first, so that the time is a guess.
var unavailable = &fixed.Response{
	Status: 503,
	Header: []fixed.Field{
		{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
		{Name: "Retry-After", Value: "60"},
		{Name: "Cache-Control", Value: "no-store"},
	},
	Body: []byte("503 Service Unavailable\nWhat answers here keeps failing and is out of service.\n"),
}

// refuses reports whether connections of a listener are closed at once.
func (q *quarantine) refuses(ctx context.Context, l *listener, id connID) bool {
	if l.plugin == "" || !q.out(l.code) {
		return false
	}
	q.log.DebugContext(ctx, "connection refused: its plugin is quarantined", "plugin", l.plugin, "connection", id.String())
	return true
}
