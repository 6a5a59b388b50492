package web

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/internal/urlpath"
)

// routes finds the mount for a request. It is not changed once made.
//
// The more exact match wins: a host before a wildcard before any host, and
// then the exact path before the longest prefix. A mount that is not for the
// request's method is passed over.
type routes struct {
	hosts     map[string]*paths // by name in lower case
	wildcards []wildcard        // longest first
	any       *paths
}

// wildcard is for all names that end in suffix, which begins with a dot.
type wildcard struct {
	suffix string
	paths  *paths
}

// paths are the mounts of one host.
type paths struct {
	exact  map[string]*spot
	prefix map[string]*spot // keys end in "/"
	// slash has the Location for each prefix whose path without the last
	// "/" is not itself mounted.
	slash map[string]string
	// longest is the length of the longest prefix: no path need be looked
	// at beyond, however many slashes a client sends.
	longest int
}

// spot is what is mounted at one path.
type spot struct {
	route   string           // host and path, for the access log
	all     exchange.Handler // for each method that has none of its own
	methods map[string]exchange.Handler
}

// match is what was found for a request: a handler, or a location to redirect
// to, or else, if the path is there for other methods, those.
type match struct {
	handler  exchange.Handler
	route    string // where that is mounted
	location string
	allow    []string
}

func newRoutes(mounts []Mount) routes {
	r := routes{hosts: make(map[string]*paths), any: newPaths()}
	for i := range mounts {
		m := &mounts[i]
		p := r.pathsOf(m.Host)
		set := p.exact
		if strings.HasSuffix(m.Path, "/") {
			set = p.prefix
			p.longest = max(p.longest, len(m.Path))
		}
		if set[m.Path] == nil {
			set[m.Path] = &spot{route: m.Host + m.Path, methods: make(map[string]exchange.Handler)}
		}
		set[m.Path].mount(m)
	}
	slices.SortFunc(r.wildcards, func(a, b wildcard) int { return len(b.suffix) - len(a.suffix) })
	r.any.redirectToSlash()
	for _, p := range r.hosts {
		p.redirectToSlash()
	}
	for _, w := range r.wildcards {
		w.paths.redirectToSlash()
	}
	return r
}

func newPaths() *paths {
	return &paths{exact: make(map[string]*spot), prefix: make(map[string]*spot), slash: make(map[string]string)}
}

// pathsOf are the mounts of a host as Mount.Host has it.
func (r *routes) pathsOf(host string) *paths {
	host = strings.ToLower(host)
	if host == "" {
		return r.any
	}
	if suffix, ok := strings.CutPrefix(host, "*"); ok {
		for _, w := range r.wildcards {
			if w.suffix == suffix {
				return w.paths
			}
		}
		p := newPaths()
		r.wildcards = append(r.wildcards, wildcard{suffix, p})
		return p
	}
	if r.hosts[host] == nil {
		r.hosts[host] = newPaths()
	}
	return r.hosts[host]
}

func (s *spot) mount(m *Mount) {
	if len(m.Methods) == 0 {
		s.all = m.Handler
	}
	for _, method := range m.Methods {
		s.methods[method] = m.Handler
	}
}

func (p *paths) redirectToSlash() {
	for path := range p.prefix {
		whole := strings.TrimSuffix(path, "/")
		if _, ok := p.exact[whole]; !ok && whole != "" {
			p.slash[whole] = (&url.URL{Path: path}).EscapedPath()
		}
	}
}

// byHost reports whether the host of a request makes a difference.
func (r *routes) byHost() bool { return len(r.hosts)+len(r.wildcards) > 0 }

// find looks for a request. path is decoded and normalised, host in lower case
// and without a port.
func (r *routes) find(host, path, method []byte) match {
	var m match
	if len(r.hosts) > 0 {
		if p := r.hosts[string(host)]; p != nil && p.find(path, method, &m) {
			return m
		}
	}
	for i := range r.wildcards {
		w := &r.wildcards[i]
		if len(host) > len(w.suffix) && string(host[len(host)-len(w.suffix):]) == w.suffix && w.paths.find(path, method, &m) {
			return m
		}
	}
	r.any.find(path, method, &m)
	return m
}

// find reports whether there is an answer among these mounts.
func (p *paths) find(path, method []byte, m *match) bool {
	if s := p.exact[string(path)]; s != nil && s.take(method, m) {
		return true
	}
	if location, ok := p.slash[string(path)]; ok {
		m.location = location
		return true
	}
	path = path[:min(len(path), p.longest)]
	for {
		end := bytes.LastIndexByte(path, '/')
		if end < 0 {
			return false
		}
		if s := p.prefix[string(path[:end+1])]; s != nil && s.take(method, m) {
			return true
		}
		path = path[:end]
	}
}

// take notes the handler for method, or the methods that there are. A mount for
// GET takes HEAD (RFC 9110, section 9.3.2).
func (s *spot) take(method []byte, m *match) bool {
	h := s.all
	if len(s.methods) > 0 {
		if own, ok := s.methods[string(method)]; ok {
			h = own
		} else if get, ok := s.methods["GET"]; ok && string(method) == "HEAD" {
			h = get
		}
	}
	if h != nil {
		*m = match{handler: h, route: s.route}
		return true
	}
	for method := range s.methods {
		m.allow = append(m.allow, method)
	}
	if s.methods["GET"] != nil {
		m.allow = append(m.allow, "HEAD")
	}
	return false
}

// allowed is the value of an Allow header.
func (m *match) allowed() string {
	slices.Sort(m.allow)
	return strings.Join(slices.Compact(m.allow), ", ")
}

// hostName is what mounts are compared with of a Host header's value: in lower
// case, and without a port or the dot of the root.
func hostName(buf, value []byte) []byte {
	if colon := bytes.LastIndexByte(value, ':'); colon >= 0 && bytes.IndexByte(value[colon:], ']') < 0 {
		value = value[:colon]
	}
	value = bytes.TrimSuffix(value, []byte("."))
	buf = append(buf[:0], value...)
	for i, c := range buf {
		if 'A' <= c && c <= 'Z' {
			buf[i] = c + 'a' - 'A'
		}
	}
	return buf
}

func validateMounts(mounts []Mount) error {
	type place struct{ host, path, method string }
	seen := make(map[place]string)
	for _, m := range mounts {
		fault := ""
		methods := m.Methods
		if len(methods) == 0 {
			methods = []string{""}
		}
		for _, method := range methods {
			at := place{strings.ToLower(m.Host), m.Path, method}
			if other, twice := seen[at]; twice {
				fault = fmt.Sprintf("path is taken by %q", other)
			}
			seen[at] = m.Name
		}
		switch {
		case !strings.HasPrefix(m.Path, "/"):
			fault = `path must begin with "/"`
		case m.Handler == nil:
			fault = "there is no handler"
		case strings.Contains(strings.TrimPrefix(m.Host, "*."), "*"):
			fault = `a wildcard is "*." and the rest of a name`
		// Escaped, so that a "%" or "?" of the path is not taken for more.
		case string(urlpath.Clean(new([]byte), []byte(url.PathEscape(m.Path)))) != m.Path:
			fault = "path matches nothing: it is not in its shortest form"
		}
		if fault != "" {
			return fmt.Errorf("mount %q at %q: %s", m.Name, m.Host+m.Path, fault)
		}
	}
	return nil
}
