package config

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/apphost/apphost/host"
)

// routes reads the [[route]] sections.
func (d *decoder) routes(sections []*table) {
	seen := map[string]string{} // "METHOD HOST PATH", to the path of the section
	for _, t := range sections {
		d.config.Host.Routes = append(d.config.Host.Routes, d.route(t, seen))
		t.done()
	}
	if len(sections) > 0 && !d.config.Host.ServesHTTP() {
		sections[0].warn("path", `has no effect: no [[listen]] section has protocol "http"`)
	}
}

func (d *decoder) route(t *table, seen map[string]string) host.Route {
	var r host.Route
	if t.text("host", &r.Host) {
		r.Host = strings.ToLower(r.Host)
		t.routeHost("host", r.Host)
	}
	if t.texts("methods", &r.Methods) && len(r.Methods) == 0 {
		t.fault("methods", "must name a method; leave it out for all")
	}
	t.routeMethods("methods", r.Methods)
	if t.text("path", &r.Path) {
		t.routePath("path", &r, seen)
	} else if !t.has("path") {
		t.fault("path", `is missing; give the path to serve, such as "/shop/"`)
	}
	d.routeChain(t, &r)
	d.routeRoot(t, &r)
	d.routeProxy(t, &r)
	t.routeEnd(&r)
	t.oneEnd()
	if !slices.ContainsFunc(routeAnswers, t.has) {
		t.fault("plugin", "is missing, and so is anything else that answers (%s); %s", strings.Join(routeAnswers[1:], ", "), d.plugins.have())
	}
	return r
}

// routeAnswers are the keys of which a route needs one.
var routeAnswers = []string{"plugin", "chain", "root", "proxy", "redirect", "respond"}

// routeChain reads the plugins that a request passes.
func (d *decoder) routeChain(t *table, r *host.Route) {
	if t.texts("chain", &r.Chain) {
		for _, name := range r.Chain {
			d.reference(t, "chain", name)
		}
		if len(r.Chain) == 0 {
			t.fault("chain", "must name a plugin; %s", d.plugins.have())
		}
	}
	var plugin string
	if !t.text("plugin", &plugin) {
		return
	}
	d.reference(t, "plugin", plugin)
	if t.has("chain") {
		t.fault("plugin", "is the short form of a chain of one; add it to the end of chain")
		return
	}
	r.Chain = []string{plugin}
}

// routeRoot reads a folder of files.
func (d *decoder) routeRoot(t *table, r *host.Route) {
	var dir string
	if !t.text("root", &dir) {
		return
	}
	if dir == "" {
		t.fault("root", `must not be empty; write "." for the folder of this file`)
		return
	}
	r.Root = d.inside(t, "root", d.resolve(dir))
}

// oneEnd refuses a second end.
func (t *table) oneEnd() {
	first := ""
	for _, key := range routeAnswers[2:] {
		switch {
		case !t.has(key):
		case first == "":
			first = key
		default:
			t.fault(key, "cannot go with %s: a route has one end", first)
		}
	}
}

// routeEnd reads the answers that are in the file.
func (t *table) routeEnd(r *host.Route) {
	status := 0
	given := t.integer("status", &status)
	var text string
	if t.text("redirect", &text) {
		r.Redirect = &host.Redirect{Location: text, Status: 308}
		if !isLocation(text) {
			t.fault("redirect", `must be where to go, such as "https://example.com/" or "/new/", got %q`, text)
		}
		if given {
			r.Redirect.Status = status
			if !slices.Contains([]int{301, 302, 303, 307, 308}, status) {
				t.fault("status", "must be 301, 302, 303, 307 or 308 with redirect, got %d", status)
			}
		}
		if redirectsToItself(r) {
			t.fault("redirect", "leads back to this route: clients would go in a circle, got %q", text)
		}
	}
	contentType := "text/plain; charset=utf-8"
	typed := t.text("content_type", &contentType)
	if t.text("respond", &text) {
		r.Respond = &host.Respond{Status: 200, Body: text, ContentType: contentType}
		if given {
			r.Respond.Status = status
			if status < 200 || status > 599 {
				t.fault("status", "must be from 200 to 599, got %d", status)
			}
			if text != "" && (status == http.StatusNoContent || status == http.StatusNotModified) {
				t.fault("respond", `must be "" with the status %d, which has no text`, status)
			}
		}
		if strings.ContainsFunc(contentType, isControl) {
			t.fault("content_type", "must not hold control characters, got %q", contentType)
		}
	}
	if given && !t.has("redirect") && !t.has("respond") {
		t.fault("status", "goes with redirect or respond only")
	}
	if typed && !t.has("respond") {
		t.fault("content_type", "goes with respond only")
	}
}

// unescaped is a path without escapes, or as it is if that cannot be.
func unescaped(path string) string {
	if plain, err := url.PathUnescape(path); err == nil {
		return plain
	}
	return path
}

// redirectsToItself reports whether a client that follows the route's redirect
// certainly comes back to it.
func redirectsToItself(r *host.Route) bool {
	to, err := url.Parse(r.Redirect.Location)
	if err != nil || to.Host != "" || to.Path != r.Path {
		return false
	}
	// The others may make a GET of it, which another route is for.
	kept := r.Redirect.Status == http.StatusTemporaryRedirect || r.Redirect.Status == http.StatusPermanentRedirect
	return kept || len(r.Methods) == 0 || slices.Contains(r.Methods, http.MethodGet)
}

// isLocation reports whether text can be sent as it is: a URL with a host, or a
// path.
func isLocation(text string) bool {
	to, err := url.Parse(text)
	if err != nil || to.String() != text {
		return false
	}
	if to.Scheme == "" && to.Host == "" {
		return strings.HasPrefix(text, "/")
	}
	return to.Host != "" && (to.Scheme == "http" || to.Scheme == "https")
}

// routeHost checks a name that a request can be for.
func (t *table) routeHost(key, name string) {
	bare := strings.TrimPrefix(name, "*.")
	switch {
	case name == "":
		t.fault(key, "must not be empty; leave it out for any host")
	case strings.Contains(bare, "*"):
		t.fault(key, `must be a name such as "example.com", or "*.example.com" for all below it, got %q`, name)
	case strings.Contains(bare, ":") && !strings.ContainsAny(bare, "/[@"):
		t.fault(key, "must not have a port: it is not compared, got %q", name)
	case strings.HasSuffix(bare, "."), strings.ContainsAny(bare, "/@?# "), strings.ContainsFunc(bare, isControl):
		t.fault(key, `must be a name such as "example.com", got %q`, name)
	}
}

func (t *table) routeMethods(key string, methods []string) {
	for i, m := range methods {
		switch {
		case m == "" || strings.ContainsFunc(m, func(r rune) bool { return (r < 'A' || r > 'Z') && r != '-' }):
			t.fault(key, `must be methods in capitals, such as "GET", got %q`, m)
		case slices.Contains(methods[:i], m):
			t.fault(key, "names %q twice", m)
		}
	}
}

// routePath checks a path that requests can have, and no route before has for
// the same host and method.
func (t *table) routePath(key string, r *host.Route, seen map[string]string) {
	route := r.Path
	clean := path.Clean("/" + route)
	if strings.HasSuffix(route, "/") && clean != "/" {
		clean += "/"
	}
	switch {
	case !strings.HasPrefix(route, "/"):
		t.fault(key, `must begin with "/", got %q`, route)
	case strings.ContainsAny(route, "?#"):
		t.fault(key, `must not hold "?" or "#": only the path is matched, got %q`, route)
	case strings.ContainsFunc(route, isControl):
		t.fault(key, "must not hold control characters, got %q", route)
	case strings.Contains(route, "%") && unescaped(route) != route:
		t.fault(key, "must be without escapes, as requests' paths are when they are compared; write %q, got %q", unescaped(route), route)
	case clean != route:
		t.fault(key, "no request has this path; write %q, got %q", clean, route)
	default:
		if strings.Contains(route, "*") {
			t.warn(key, `has a "*", which stands for itself only; a path that ends in "/" is for everything below it`)
		}
		methods := r.Methods
		if len(methods) == 0 {
			methods = []string{""}
		}
		for _, m := range methods {
			place := m + " " + r.Host + " " + route
			if other, taken := seen[place]; taken && other != t.path {
				t.fault(key, "%q is the path of %s already", route, other)
				return
			}
			seen[place] = t.path
		}
	}
}
