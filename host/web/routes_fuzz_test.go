package web

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/internal/urlpath"
)

// numbered is a handler that can be told from others.
type numbered int

func (numbered) Serve(context.Context, exchange.Exchange) error { return nil }

// tableOf makes mounts of lines: host or "-", path, methods.
func tableOf(text string) (mounts []Mount) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 || len(mounts) == 20 {
			continue
		}
		mounts = append(mounts, Mount{
			Host: strings.TrimPrefix(words[0], "-"), Path: words[1], Methods: words[2:], Name: line, Handler: numbered(len(mounts)),
		})
	}
	return mounts
}

// candidates are the mounts for a host, by how exactly they name it.
func candidates(mounts []Mount, host string) (groups [][]Mount) {
	byHost := make(map[string][]Mount)
	var wild []string
	for _, m := range mounts {
		name := strings.ToLower(m.Host)
		if strings.HasPrefix(name, "*") && byHost[name] == nil {
			wild = append(wild, name)
		}
		byHost[name] = append(byHost[name], m)
	}
	if host != "" {
		groups = append(groups, byHost[host])
	}
	slices.SortStableFunc(wild, func(a, b string) int { return len(b) - len(a) })
	for _, w := range wild {
		if len(host) > len(w)-1 && strings.HasSuffix(host, w[1:]) {
			groups = append(groups, byHost[w])
		}
	}
	return append(groups, byHost[""])
}

// among is what answers among the mounts of one path, or nil.
func among(mounts []Mount, path, method string) exchange.Handler {
	for _, wanted := range []string{method, map[string]string{"HEAD": "GET"}[method], ""} {
		for _, m := range mounts {
			if m.Path != path {
				continue
			}
			if wanted == "" && len(m.Methods) == 0 || wanted != "" && slices.Contains(m.Methods, wanted) {
				return m.Handler
			}
		}
	}
	return nil
}

// slowFind is routes.find as its comments say, without any of its tables.
func slowFind(mounts []Mount, host, path, method string) (handler exchange.Handler, redirect bool) {
	for _, group := range candidates(mounts, host) {
		has := func(path string) bool {
			return slices.ContainsFunc(group, func(m Mount) bool { return m.Path == path })
		}
		if !strings.HasSuffix(path, "/") {
			if h := among(group, path, method); h != nil {
				return h, false
			}
			if path != "" && has(path+"/") && !has(path) {
				return nil, true
			}
		}
		for end := len(path); end > 0; end-- {
			if path[end-1] != '/' {
				continue
			}
			if h := among(group, path[:end], method); h != nil {
				return h, false
			}
		}
	}
	return nil, false
}

// A table of routes finds what looking at each mount in turn finds, whatever a
// client sends as host, target and method.
func FuzzRoutes(f *testing.F) {
	const table = "- / GET\n- /a/\n- /a POST\nshop.example.com /a/\n*.example.com /a/b GET\n*.example.com /a/b\n*.shop.example.com / HEAD\n- /*\nEXAMPLE.com /x/ PUT\n"
	for _, seed := range [][3]string{
		{"shop.example.com:80", "/a/b/../c?d", "GET"},
		{"x.shop.example.com.", "/a", "HEAD"},
		{"[::1]:80", "//a%2fb", "PUT"},
		{"a", "/b", "HEAD"},
		{"", "*", "OPTIONS"},
		{"Example.COM", "/x", "PUT"},
		{".example.com", "/a/b", "POST"},
	} {
		f.Add(table, seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, table, hostField, target, method string) {
		mounts := tableOf(table)
		if validateMounts(mounts) != nil {
			return
		}
		host := hostName(nil, []byte(hostField))
		if !bytes.Equal(hostName(nil, host), host) && !bytes.ContainsAny(host, ":.") {
			t.Errorf("host %q is %q", hostField, host)
		}
		var path []byte
		if strings.HasPrefix(target, "/") {
			path = urlpath.Clean(new([]byte), []byte(target))
		}
		r := newRoutes(mounts)
		got := r.find(host, path, []byte(method))
		handler, redirect := slowFind(mounts, string(host), string(path), method)
		if got.handler != handler || (got.location != "") != redirect {
			t.Errorf("%q %q %q among %q: got %v %q, want %v %t", method, host, path, table, got.handler, got.location, handler, redirect)
		}
		if got.handler != nil && !slices.ContainsFunc(mounts, func(m Mount) bool {
			return m.Handler == got.handler && strings.EqualFold(m.Host+m.Path, got.route)
		}) {
			t.Errorf("%v is not mounted at %q", got.handler, got.route)
		}
		if !strings.HasPrefix(target, "/") && got.handler != nil {
			t.Errorf("target %q is answered", target)
		}
	})
}
