package web

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"

	"github.com/apphost/apphost/host/exchange"
)

// routes finds the mount for a path. It is not changed once made.
type routes struct {
	exact  map[string]exchange.Handler
	prefix map[string]exchange.Handler // keys end in "/"
	// slash has the Location for each prefix whose path without the last
	// "/" is not itself mounted.
	slash map[string]string
	// longest is the length of the longest prefix: no path need be looked
	// at beyond, however many slashes a client sends.
	longest int
}

func newRoutes(mounts []Mount) routes {
	r := routes{
		exact:  make(map[string]exchange.Handler),
		prefix: make(map[string]exchange.Handler),
		slash:  make(map[string]string),
	}
	for _, m := range mounts {
		if !strings.HasSuffix(m.Path, "/") {
			r.exact[m.Path] = m.Handler
			continue
		}
		r.prefix[m.Path] = m.Handler
		r.longest = max(r.longest, len(m.Path))
	}
	for path := range r.prefix {
		whole := strings.TrimSuffix(path, "/")
		if _, ok := r.exact[whole]; !ok && whole != "" {
			r.slash[whole] = (&url.URL{Path: path}).EscapedPath()
		}
	}
	return r
}

// find returns the handler for path, which is decoded and normalised: the
// one mounted at exactly path, else at the longest prefix of it. Where only
// path + "/" is mounted there is no handler but a location to redirect to.
func (r *routes) find(path []byte) (h exchange.Handler, location string) {
	if h, ok := r.exact[string(path)]; ok {
		return h, ""
	}
	if location, ok := r.slash[string(path)]; ok {
		return nil, location
	}
	path = path[:min(len(path), r.longest)]
	for {
		end := bytes.LastIndexByte(path, '/')
		if end < 0 {
			return nil, ""
		}
		if h, ok := r.prefix[string(path[:end+1])]; ok {
			return h, ""
		}
		path = path[:end]
	}
}

func validateMounts(mounts []Mount) error {
	seen := make(map[string]string)
	for _, m := range mounts {
		fault := ""
		other, twice := seen[m.Path]
		switch {
		case !strings.HasPrefix(m.Path, "/"):
			fault = `path must begin with "/"`
		case twice:
			fault = fmt.Sprintf("path is taken by %q", other)
		case m.Handler == nil:
			fault = "there is no handler"
		// Escaped, so that a "%" or "?" of the path is not taken for more.
		case string(cleanPath(new([]byte), []byte(url.PathEscape(m.Path)))) != m.Path:
			fault = "path matches nothing: it is not in its shortest form"
		}
		if fault != "" {
			return fmt.Errorf("mount %q at %q: %s", m.Name, m.Path, fault)
		}
		seen[m.Path] = m.Name
	}
	return nil
}
