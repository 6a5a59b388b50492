package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"

	"github.com/apphost/apphost/host/abi/command"
	"github.com/apphost/apphost/host/abi/httpwasm"
	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/web"
	"github.com/apphost/apphost/host/web/fixed"
	"github.com/apphost/apphost/host/web/proxy"
	"github.com/apphost/apphost/host/web/static"
)

// mounts are the routes, and /NAME/ for each HTTP plugin unless a route has
// taken that path.
func (h *Host) mounts(config *Config, incomplete bool) ([]web.Mount, error) {
	var out []web.Mount
	var errs []error
	for i := range config.Routes {
		r := &config.Routes[i]
		handler, err := h.chain(r, fmt.Sprintf("route[%d].", i))
		if incomplete && errors.As(err, new(noPlugin)) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, web.Mount{Host: r.Host, Methods: r.Methods, Path: r.Path, Name: r.label(), Handler: h.quarantine.guard(handler, r.Chain...)})
	}
	for _, p := range h.plugins {
		if path, ok := config.ownPath(p.module.Name(), p.module.ABI(), p.mount); ok {
			handler := h.quarantine.guard(h.meter(p.at(path), p.module.Name()), p.module.Name())
			out = append(out, web.Mount{Path: path, Name: p.module.Name(), Handler: handler})
		}
	}
	return out, errors.Join(errs...)
}

// ownPath is the path that a plugin has without a route, if it has one; mount is
// its Plugin.Mount.
func (c *Config) ownPath(name, abi string, mount *bool) (path string, ok bool) {
	path = "/" + name + "/"
	switch {
	case abi != httpwasm.Name && abi != command.Name, mount != nil && !*mount:
		return "", false
	case mount != nil:
	case abi == command.Name && slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.Protocol == TCP && l.Plugin == name }):
		return "", false
	case slices.ContainsFunc(c.Routes, func(r Route) bool { return slices.Index(r.Chain, name) > 0 }):
		return "", false
	}
	return path, !slices.ContainsFunc(c.Routes, func(r Route) bool {
		return r.Path == path && r.Host == "" && len(r.Methods) == 0
	})
}

// at is the plugin as the answer to requests below a path, or nil.
func (p *plugin) at(path string) exchange.Handler {
	if p.command != nil {
		return p.command.At(path)
	}
	return p.http
}

// chain is the handler of a route, the keys of which begin with section.
func (h *Host) chain(r *Route, section string) (exchange.Handler, error) {
	handler, err := h.end(r, section)
	if err != nil {
		return nil, err
	}
	if handler != nil && h.accessLog != nil {
		handler = unmetered{handler}
	}
	for _, name := range slices.Backward(r.Chain) {
		p, err := h.byName(name)
		if err != nil {
			return nil, &SettingError{Key: section + r.chainKey(), Err: err}
		}
		answers := h.meter(p.at(r.Path), name)
		if answers == nil {
			return nil, &SettingError{
				Key: section + r.chainKey(),
				Err: fmt.Errorf("plugin %q speaks the %s ABI, a route needs an HTTP plugin or a command; give it a listener with protocol = \"tcp\"", name, p.module.ABI()),
			}
		}
		if handler == nil {
			handler = answers
			continue
		}
		link, ok := answers.(exchange.Link)
		if !ok {
			return nil, &SettingError{
				Key: section + r.chainKey(),
				Err: fmt.Errorf("plugin %q speaks the %s ABI, which passes no request on: it must be the last of a chain", name, p.module.ABI()),
			}
		}
		handler = &linked{link, handler}
	}
	if handler == nil {
		return nil, &SettingError{Key: section + "plugin", Err: errors.New("is missing, and so is anything else that answers")}
	}
	return handler, nil
}

// chainKey is what the configuration calls the plugins of a route: one alone is
// plugin.
func (r *Route) chainKey() string {
	if len(r.Chain) == 1 {
		return "plugin"
	}
	return "chain"
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
func (h *Host) end(r *Route, section string) (exchange.Handler, error) {
	switch {
	case r.Root != "":
		files, err := static.Open(r.Root, r.Path)
		if err != nil {
			return nil, &SettingError{Key: section + "root", Err: guest.FolderError(r.Root, err)}
		}
		h.files = append(h.files, files)
		if h.slot < 0 && !strings.HasSuffix(r.Path, "/") && !files.Has(path.Base(r.Path)) {
			h.log.Warn(fmt.Sprintf("%sroot: the path %q has no \"/\" at its end, and so is that of one file only, which is not in %s", section, r.Path, r.Root))
		}
		return files, nil
	case r.Proxy != nil:
		return h.proxy(r, section)
	case r.Redirect != nil:
		return &fixed.Redirect{Location: r.Redirect.Location, Path: r.Path, Response: fixed.Response{Status: r.Redirect.Status}}, nil
	case r.Respond != nil:
		return &fixed.Response{
			Status: r.Respond.Status, Body: []byte(r.Respond.Body),
			Header: []fixed.Field{{Name: "Content-Type", Value: r.Respond.ContentType}},
		}, nil
	}
	return nil, nil
}

// proxy is the end of a route that another server answers.
func (h *Host) proxy(r *Route, section string) (exchange.Handler, error) {
	to, err := proxy.ParseUpstream(r.Proxy.To, r.Path)
	if err != nil {
		return nil, &SettingError{Key: section + "proxy", Err: err}
	}
	p := proxy.New(proxy.Config{
		Upstream: to, ConnectTimeout: r.Proxy.ConnectTimeout, Timeout: r.Proxy.Timeout, Route: r.Host + r.Path,
		Logger: func(ctx context.Context) *slog.Logger { return guest.ConnectionLogger(ctx, h.log) },
	})
	h.proxies = append(h.proxies, p)
	return p, nil
}

// Describe says in a few words what answers, such as "auth → shop".
func (r *Route) Describe() string {
	parts := slices.Clone(r.Chain)
	switch {
	case r.Root != "":
		parts = append(parts, "files of "+r.Root)
	case r.Proxy != nil:
		parts = append(parts, "proxy to "+r.Proxy.To)
	case r.Redirect != nil:
		parts = append(parts, fmt.Sprintf("redirect %d to %s", r.Redirect.Status, r.Redirect.Location))
	case r.Respond != nil:
		parts = append(parts, fmt.Sprintf("respond %d", r.Respond.Status))
	}
	return strings.Join(parts, " → ")
}

// label says what answers to visitors, who need not know where things are.
func (r *Route) label() string {
	switch {
	case r.Root != "":
		return "files"
	case r.Proxy != nil:
		return "proxy"
	case r.Redirect != nil:
		return "redirect"
	case r.Respond != nil:
		return "text"
	}
	return r.Chain[len(r.Chain)-1]
}
