package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/apphost/apphost/host/internal/urlpath"
)

// unixPrefix marks an upstream that is the path of a Unix socket.
const unixPrefix = "unix:"

// Upstream is where requests go.
type Upstream struct {
	network, address string
	host             string // for requests without a Host
	// base takes the place of the route's path; "" leaves targets as they are.
	base string
	// route is the path that base takes the place of.
	route string
}

// ParseUpstream reads http://HOST:PORT, with a path or without, or unix:PATH, for
// a route with the path route. Its errors go on after the name of a setting:
// "must be …".
func ParseUpstream(raw, route string) (Upstream, error) {
	if file, ok := strings.CutPrefix(raw, unixPrefix); ok {
		if file == "" || strings.HasPrefix(file, "//") || strings.ContainsRune(file, 0) {
			return Upstream{}, fmt.Errorf(`must be unix: and the path of a socket, such as "unix:/run/app.sock", got %q`, raw)
		}
		return Upstream{network: "unix", address: file, host: "localhost", route: route}, nil
	}
	u, err := url.Parse(raw)
	switch {
	case err == nil && u.Scheme == "https":
		return Upstream{}, fmt.Errorf(`must begin with "http://": TLS to an upstream is not available in this version, got %q`, raw)
	case err != nil, u.Scheme != "http", u.Hostname() == "":
		return Upstream{}, fmt.Errorf(`must be where requests go, such as "http://127.0.0.1:9000", or unix:PATH, got %q`, raw)
	case u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return Upstream{}, errors.New("must have no user, query or fragment: only a host, a port and a path")
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Upstream{}, fmt.Errorf("must have a port from 1 to 65535, got %q", raw)
	}
	up := Upstream{network: "tcp", address: net.JoinHostPort(u.Hostname(), port), host: u.Host, base: u.EscapedPath(), route: route}
	if err := up.checkBase(u.Path); err != nil {
		return Upstream{}, err
	}
	return up, nil
}

// checkBase refuses a base with which a path would not end up where it seems to.
func (u *Upstream) checkBase(decoded string) error {
	clean := path.Clean(decoded)
	if strings.HasSuffix(decoded, "/") && clean != "/" {
		clean += "/"
	}
	switch {
	case u.base == "":
		return nil
	case clean != decoded:
		return fmt.Errorf("must have its path in the shortest form, got %q", u.base)
	case strings.HasSuffix(u.route, "/") != strings.HasSuffix(u.base, "/"):
		return fmt.Errorf(`must have a path that ends in "/" just as the route's does, or none: %q takes the place of %q`, u.base, u.route)
	}
	return nil
}

var errTarget = errors.New("the request's target cannot be passed on")

// target is what uri is for the upstream.
func (u *Upstream) target(uri []byte) ([]byte, error) {
	for _, c := range uri {
		if c <= ' ' || c == 0x7f || c == '#' {
			return nil, errTarget
		}
	}
	if len(uri) == 0 || uri[0] != '/' && string(uri) != "*" {
		return nil, errTarget
	}
	if u.base == "" || uri[0] != '/' {
		return uri, nil
	}
	asked, query, hasQuery := strings.Cut(string(uri), "?")
	target := u.replace(asked)
	if hasQuery {
		target += "?" + query
	}
	return []byte(target), nil
}

// replace puts base in the place of the route's path. What follows stays as the
// client wrote it, unless it has "." or ".." or empty parts, in any spelling: with
// those, it could lead out of base. A path that a plugin has moved out of the
// route's goes below base as a whole.
func (u *Upstream) replace(asked string) string {
	if !strings.HasSuffix(u.base, "/") {
		return u.base // for the one path that the route has
	}
	var buf []byte
	clean := string(urlpath.Clean(&buf, []byte(asked)))
	decoded, err := url.PathUnescape(asked)
	if rest, ok := strings.CutPrefix(asked, u.route); ok && err == nil && decoded == clean {
		return u.base + rest
	}
	rest, ok := strings.CutPrefix(clean, u.route)
	if !ok {
		rest = strings.TrimPrefix(clean, "/")
	}
	return u.base + strings.TrimPrefix((&url.URL{Path: "/" + rest}).EscapedPath(), "/")
}

// String is the upstream as it is configured, about.
func (u *Upstream) String() string {
	if u.network == "unix" {
		return unixPrefix + u.address
	}
	return "http://" + u.address + u.base
}
