package config

import (
	"strings"
	"time"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/host/web/proxy"
	"github.com/apphost/apphost/mpm"
)

// routeProxy reads the server that answers in the place of this one.
func (d *decoder) routeProxy(t *table, r *host.Route) {
	p := host.Proxy{ConnectTimeout: proxy.DefaultConnectTimeout, Timeout: proxy.DefaultTimeout}
	t.proxyTimeout("proxy_connect_timeout", &p.ConnectTimeout)
	t.proxyTimeout("proxy_timeout", &p.Timeout)
	if !t.text("proxy", &p.To) {
		return
	}
	r.Proxy = &p
	if _, err := proxy.ParseUpstream(p.To, r.Path); err != nil {
		t.fault("proxy", "%s", err)
		return
	}
	if strings.HasPrefix(p.To, mpm.UnixPrefix) {
		p.To = d.unixAddress(p.To)
	}
}

func (t *table) proxyTimeout(key string, dst *time.Duration) {
	t.duration(key, dst)
	switch {
	case !t.has(key) || t.refusedKey(key):
	case !t.has("proxy"):
		t.fault(key, "goes with proxy only")
	case *dst < time.Millisecond:
		t.fault(key, `must be at least "1ms", got %q`, t.values[key])
	}
}
