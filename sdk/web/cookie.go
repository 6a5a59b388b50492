package web

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/apphost/apphost/sdk/abi"
)

// Cookie is a cookie for the client to keep. See RFC 6265, section 4.1.
type Cookie struct {
	Name string
	// Value is sent as it is: encode it, for example with url.QueryEscape, if
	// it may hold spaces, commas, semicolons, quotes, backslashes or bytes
	// beyond ASCII.
	Value string
	// Path limits the cookie to a part of the site. Empty means the folder of
	// the request's path.
	Path string
	// MaxAge is the time to keep it in seconds. 0 means as long as the browser
	// runs, and a negative one deletes the cookie.
	MaxAge int
	// Secure keeps the cookie off connections without TLS.
	Secure bool
	// ScriptAccess lets the page's scripts read it.
	ScriptAccess bool
	// CrossSite sends it with requests that other sites cause: "Lax" (the
	// default) on following a link, "Strict" never, "None" always.
	CrossSite string
}

// SetCookie adds a cookie to the response. It fails, and adds nothing, if name,
// value or path has a byte that is not allowed there.
func (w *Response) SetCookie(c Cookie) error {
	if c.Name == "" || strings.ContainsFunc(c.Name, func(b rune) bool { return !isTokenByte(b) }) {
		return fmt.Errorf("set cookie %q: the name is empty or has a character that is not allowed", c.Name)
	}
	if strings.ContainsFunc(c.Value, func(b rune) bool { return b <= ' ' || b >= 0x7f || strings.ContainsRune(`",;\`, b) }) {
		return fmt.Errorf("set cookie %q: the value has a character that is not allowed", c.Name)
	}
	if strings.ContainsFunc(c.Path, func(b rune) bool { return b < ' ' || b >= 0x7f || b == ';' }) {
		return fmt.Errorf("set cookie %q: the path has a character that is not allowed", c.Name)
	}
	line := c.Name + "=" + c.Value
	if c.Path != "" {
		line += "; Path=" + c.Path
	}
	switch {
	case c.MaxAge > 0:
		line += "; Max-Age=" + strconv.Itoa(c.MaxAge)
	case c.MaxAge < 0:
		line += "; Max-Age=0"
	}
	if c.Secure {
		line += "; Secure"
	}
	if !c.ScriptAccess {
		line += "; HttpOnly"
	}
	switch c.CrossSite {
	case "":
		line += "; SameSite=Lax"
	case "Lax", "Strict", "None":
		line += "; SameSite=" + c.CrossSite
	default:
		return fmt.Errorf("set cookie %q: CrossSite is %q, want Lax, Strict or None", c.Name, c.CrossSite)
	}
	w.exchange.AddHeader(abi.HeaderResponse, "Set-Cookie", line)
	return nil
}

// isTokenByte reports whether b may be in a token, see RFC 9110, section
// 5.6.2.
func isTokenByte(b rune) bool {
	return b > ' ' && b < 0x7f && !strings.ContainsRune(`()<>@,;:\"/[]?={}`, b)
}
