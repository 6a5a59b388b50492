package host

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// pageName is how Routes calls what answers where nothing else is.
const pageName = `the page "It works", at / only`

// RouteInfo is one way to something on the http listeners.
type RouteInfo struct {
	Host    string // "" is any
	Methods []string
	Path    string
	Handler string // what answers, in a few words
}

// Routes lists what the http listeners answer, in the order in which a request
// finds it. It reads what the plugins are, and compiles and runs nothing.
func Routes(ctx context.Context, config *Config) []RouteInfo {
	var out []RouteInfo
	for i := range config.Routes {
		r := &config.Routes[i]
		out = append(out, RouteInfo{r.Host, r.Methods, r.Path, r.Describe()})
	}
	for i := range config.Plugins {
		p := &config.Plugins[i]
		if path, ok := config.ownPath(p.Name, Inspect(ctx, p.Name, p.Wasm).ABI, p.Mount); ok {
			out = append(out, RouteInfo{Path: path, Handler: p.Name})
		}
	}
	for _, m := range config.Mounts {
		out = append(out, RouteInfo{Path: m.Path, Handler: m.Name})
	}
	if !slices.ContainsFunc(out, func(r RouteInfo) bool { return r.Host == "" && r.Path == "/" }) {
		out = append(out, RouteInfo{Methods: []string{"GET", "HEAD"}, Path: "/", Handler: pageName})
	}
	slices.SortStableFunc(out, func(a, b RouteInfo) int {
		return cmp.Or(
			compareHosts(a.Host, b.Host),
			boolOrder(strings.HasSuffix(a.Path, "/"), strings.HasSuffix(b.Path, "/")),
			len(b.Path)-len(a.Path),
			strings.Compare(a.Path, b.Path),
			boolOrder(len(a.Methods) == 0, len(b.Methods) == 0),
		)
	})
	return out
}

// compareHosts puts names first, then wildcards, the longest first, then any.
func compareHosts(a, b string) int {
	wild := func(host string) bool { return strings.HasPrefix(host, "*") }
	order := cmp.Or(boolOrder(a == "", b == ""), boolOrder(wild(a), wild(b)))
	if order == 0 && wild(a) {
		order = len(b) - len(a)
	}
	return cmp.Or(order, strings.Compare(a, b))
}

// boolOrder puts false before true.
func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
