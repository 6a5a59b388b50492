package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/apphost/apphost/host/abi/conn"
	"github.com/apphost/apphost/host/web"
	"github.com/apphost/apphost/mpm"
)

// webServer serves HTTP on a connection.
type webServer interface {
	ServeConn(ctx context.Context, c mpm.Conn)
}

// noPlugin is the error that the plugin of that name is not there.
type noPlugin string

func (n noPlugin) Error() string { return fmt.Sprintf("there is no plugin %q", string(n)) }

// bind says what serves each listener. With incomplete, a plugin that is not
// there is no fault: that it could not be loaded is reported already.
func (h *Host) bind(config *Config, incomplete bool) (map[string]listener, error) {
	mounts, err := h.mounts(config, incomplete)
	errs := []error{err}
	for _, m := range config.Mounts {
		mounts = append(mounts, web.Mount{Path: m.Path, Handler: m.Handler})
	}
	webConfig := config.HTTP.web()
	webConfig.Mounts, webConfig.Name, webConfig.Logger, webConfig.AccessLog = mounts, "apphost", h.log, h.accessLog
	if err == nil {
		errs = append(errs, webConfig.Validate())
	}
	var server webServer
	if errors.Join(errs...) == nil {
		server = web.New(webConfig)
	}
	out := map[string]listener{}
	for i, l := range config.Listeners {
		switch l.Protocol {
		case HTTP:
			out[l.Name] = listener{web: server}
		case TCP:
			p, err := h.byName(l.Plugin)
			if incomplete && errors.As(err, new(noPlugin)) {
				continue
			}
			if err == nil && p.conn == nil && p.command == nil {
				err = fmt.Errorf("plugin %q speaks the %s ABI, a tcp listener needs one of the conn ABI, a server, or a command", l.Plugin, p.module.ABI())
			}
			if err != nil {
				errs = append(errs, &SettingError{Key: fmt.Sprintf("listen[%d].plugin", i), Err: err})
				continue
			}
			out[l.Name] = listener{conn: p.conn, command: p.command, plugin: l.Plugin, code: h.quarantine.number(l.Plugin), timeouts: conn.Timeouts{Read: l.ReadTimeout, Write: l.WriteTimeout}}
		default:
			errs = append(errs, fmt.Errorf("listener %q: unknown protocol %q", l.Name, l.Protocol))
		}
	}
	if h.trial() && !incomplete {
		h.warnOfUnreached(out)
	}
	return out, errors.Join(errs...)
}

// warnOfUnreached tells of plugins for connections that no listener has.
func (h *Host) warnOfUnreached(listeners map[string]listener) {
	reached := map[string]bool{}
	for _, l := range listeners {
		reached[l.plugin] = true
	}
	for _, p := range h.plugins {
		if name := p.module.Name(); p.conn != nil && !reached[name] {
			h.log.Warn(fmt.Sprintf("plugin %q speaks the %s ABI and has no listener, so that nobody gets to it: add a [[listen]] section with protocol = \"tcp\" and plugin = %q, or remove the plugin",
				name, p.module.ABI(), name))
		}
	}
}

// web is the web server's part of the settings.
func (s *HTTPSettings) web() web.Config {
	return web.Config{
		HeaderBytesMax: s.HeaderBytesMax, BodyBytesMax: s.BodyBytesMax,
		FirstByteTimeout: s.FirstByteTimeout, HeaderTimeout: s.HeaderTimeout, IdleTimeout: s.IdleTimeout, WriteTimeout: s.WriteTimeout,
		BodyTimeout: s.BodyTimeout, BodyGrace: s.BodyGrace, BodyRateMin: s.BodyRateMin,
		RequestsPerConnection: s.RequestsPerConnection, RequestIDHeader: s.RequestIDHeader, TrustRequestID: s.TrustRequestID,
	}
}

func (h *Host) byName(name string) (*plugin, error) {
	for _, p := range h.plugins {
		if p.module.Name() == name {
			return p, nil
		}
	}
	return nil, noPlugin(name)
}
