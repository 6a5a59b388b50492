package config

import (
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/apphost/apphost/host"
)

// allowUnix stands, among addresses, for the clients of Unix sockets.
const allowUnix = "unix"

// status reads the section of the status page. The routes were read before.
func (d *decoder) status(t *table) {
	defer t.done()
	s := &d.config.Status
	if t.text("path", &s.Path) && s.Path != "" {
		t.statusPath("path", s.Path)
	}
	t.access("allow", s)
	if s.Path != "" && !d.config.Host.ServesHTTP() && !t.refusedKey("path") {
		t.warn("path", `has no effect: no [[listen]] section has protocol "http"`)
	}
	d.config.MPM.Status = s.Path != ""
}

// statusPath checks a path that requests can have, and no route has.
func (t *table) statusPath(key, page string) {
	switch clean := path.Clean("/" + page); {
	case !strings.HasPrefix(page, "/"):
		t.fault(key, `must begin with "/", or be "" for no page, got %q`, page)
	case strings.ContainsAny(page, "?#"):
		t.fault(key, `must not hold "?" or "#": only the path is matched, got %q`, page)
	case strings.ContainsFunc(page, isControl):
		t.fault(key, "must not hold control characters, got %q", page)
	case page == "/":
		t.fault(key, `must be more than "/", got %q`, page)
	case clean != page:
		t.fault(key, "no request for one page has this path; write %q, got %q", clean, page)
	case slices.ContainsFunc(t.d.config.Host.Routes, func(r host.Route) bool { return r.Host == "" && r.Path == page }):
		t.fault(key, "%q is the path of a [[route]] already", page)
	}
}

// access reads who may see the page.
func (t *table) access(key string, s *Status) {
	v, ok := t.value(key, kindTexts)
	if !ok {
		return
	}
	list, ok := v.([]any)
	if !ok {
		t.fault(key, `must be a list of addresses in quotes, such as ["127.0.0.1", "10.0.0.0/8"], got %s`, describe(v))
		return
	}
	s.Allow, s.AllowUnix = nil, false
	for _, v := range list {
		text, ok := v.(string)
		if !ok {
			t.fault(key, `must be a list of addresses in quotes, such as ["127.0.0.1", "10.0.0.0/8"], got %s in it`, describe(v))
			return
		}
		if text == allowUnix {
			s.AllowUnix = true
			continue
		}
		prefix, ok := parsePrefix(text)
		if !ok {
			t.fault(key, `must hold addresses ("192.0.2.7"), networks ("10.0.0.0/8", "fd00::/8") or "unix", got %q`, text)
			return
		}
		s.Allow = append(s.Allow, prefix)
	}
}

// parsePrefix reads a network, or an address as a network of its own. Bits
// beyond the network would be a mistake about which one is meant.
func parsePrefix(text string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p, p == p.Masked() && !p.Addr().Is4In6()
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), true
}
