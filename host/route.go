package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/web"
	"github.com/apphost/apphost/host/web/fixed"
)

// mounts are the routes, and /NAME/ for each HTTP plugin unless a route has
// taken that path.
func (h *Host) mounts(routes []Route, incomplete bool) ([]web.Mount, error) {
	var out []web.Mount
	var errs []error
	for i := range routes {
		r := &routes[i]
		handler, err := h.chain(r)
		if incomplete && errors.As(err, new(noPlugin)) {
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("route %q: %w", r.Host+r.Path, err))
			continue
		}
		out = append(out, web.Mount{Host: r.Host, Methods: r.Methods, Path: r.Path, Name: r.Describe(), Handler: handler})
	}
	for _, p := range h.plugins {
		path := "/" + p.module.Name() + "/"
		taken := slices.ContainsFunc(routes, func(r Route) bool {
			return r.Path == path && r.Host == "" && len(r.Methods) == 0
		})
		if p.http != nil && !taken {
			out = append(out, web.Mount{Path: path, Name: p.module.Name(), Handler: p.http})
		}
	}
	return out, errors.Join(errs...)
}

// chain is the handler of a route.
func (h *Host) chain(r *Route) (exchange.Handler, error) {
	handler := r.end()
	for _, name := range slices.Backward(r.Chain) {
		p, err := h.byName(name)
		if err == nil && p.http == nil {
			err = fmt.Errorf("plugin %q speaks the %s ABI, a route needs an HTTP plugin", name, p.module.ABI())
		}
		if err != nil {
			return nil, err
		}
		if handler == nil {
			handler = p.http
			continue
		}
		link, ok := p.http.(exchange.Link)
		if !ok {
			return nil, fmt.Errorf("plugin %q speaks the %s ABI, which passes no request on: it must be the last of a chain", name, p.module.ABI())
		}
		handler = &linked{link, handler}
	}
	if handler == nil {
		return nil, errors.New("nothing answers: it has neither a plugin nor another end")
	}
	return handler, nil
}

// linked is a plugin of a chain with what is behind it.
type linked struct {
	link exchange.Link
	next exchange.Handler
}

func (l *linked) Serve(ctx context.Context, x exchange.Exchange) error {
	return l.link.ServeWith(ctx, x, l.next)
}

// end is what answers the requests that all plugins pass on, or nil.
func (r *Route) end() exchange.Handler {
	switch {
	case r.Redirect != nil:
		return &fixed.Redirect{Location: r.Redirect.Location, Response: fixed.Response{Status: r.Redirect.Status}}
	case r.Respond != nil:
		return &fixed.Response{
			Status: r.Respond.Status, Body: []byte(r.Respond.Body),
			Header: []fixed.Field{{Name: "Content-Type", Value: r.Respond.ContentType}},
		}
	}
	return nil
}

// Describe says in a few words what answers, such as "auth → shop".
func (r *Route) Describe() string {
	parts := slices.Clone(r.Chain)
	switch {
	case r.Redirect != nil:
		parts = append(parts, fmt.Sprintf("redirect %d to %s", r.Redirect.Status, r.Redirect.Location))
	case r.Respond != nil:
		parts = append(parts, fmt.Sprintf("respond %d", r.Respond.Status))
	}
	return strings.Join(parts, " → ")
}
