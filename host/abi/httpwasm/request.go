package httpwasm

import (
	"log/slog"
	"strings"

	"github.com/apphost/apphost/host/guest"
)

// getConfig implements abi.GetConfig.
func getConfig(c call) uint64 { return c.put(0, c.s.plugin.configJSON) }

// logEnabled implements abi.LogEnabled.
func logEnabled(c call) uint64 {
	level, ok := guest.LogLevel(int32(c.arg(0)))
	if ok && c.s.plugin.log.Enabled(c.s.Context, level) {
		return 1
	}
	return 0
}

// guestLog implements abi.HTTPLog.
func guestLog(c call) uint64 {
	text := c.bytes(1)
	level, ok := guest.LogLevel(int32(c.arg(0)))
	if !ok {
		return 0 // what cannot be logged is ignored
	}
	s := c.s
	if s.plugin.log.Enabled(s.Context, level) && s.budget.Take(len(text)) {
		s.log().LogAttrs(s.Context, level, "guest log", slog.String("text", guest.LogText(text)))
	}
	return 0
}

// getMethod implements abi.GetMethod.
func getMethod(c call) uint64 { return c.put(0, c.exchange().Method()) }

// setMethod implements abi.SetMethod.
func setMethod(c call) uint64 {
	c.beforeNext()
	x, method := c.exchange(), c.bytes(0)
	if !isToken(method) {
		c.abort("not a valid method")
	}
	x.SetMethod(method)
	return 0
}

// getURI implements abi.GetURI.
func getURI(c call) uint64 { return c.put(0, c.exchange().URI()) }

// setURI implements abi.SetURI.
func setURI(c call) uint64 {
	c.beforeNext()
	x, uri := c.exchange(), c.bytes(0)
	if len(uri) == 0 {
		uri = []byte("/")
	}
	if !isTarget(uri) {
		c.abort("not a valid request target")
	}
	x.SetURI(uri)
	return 0
}

// getProtocol implements abi.GetProtocol.
func getProtocol(c call) uint64 { return c.put(0, []byte(c.exchange().Protocol())) }

// getSourceAddr implements abi.GetSourceAddr.
func getSourceAddr(c call) uint64 { return c.put(0, []byte(c.exchange().RemoteAddr())) }

// isTarget reports whether p is a path and maybe a query, or the "*" of OPTIONS
// (RFC 9112, section 3.2).
func isTarget(p []byte) bool {
	for _, b := range p {
		if b <= ' ' || b == 0x7f || b == '#' {
			return false
		}
	}
	return p[0] == '/' || string(p) == "*"
}

// isToken reports whether p is a token of RFC 9110, section 5.6.2.
func isToken(p []byte) bool {
	for _, b := range p {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0:
		default:
			return false
		}
	}
	return len(p) > 0
}
