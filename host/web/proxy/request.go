package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/apphost/apphost/host/exchange"
)

var (
	errField  = errors.New("a field of the request's header cannot be passed on")
	errMethod = errors.New("CONNECT is not passed on")
	errLoop   = fmt.Errorf("it has come through %d servers of this kind: does a proxy lead back here?", hopsMax)
)

// hopsMax is how many times a request may pass a server like this one. Where a
// route leads back to itself, each time costs a child.
const hopsMax = 8

// pseudonym is what Via calls this server (RFC 9110, section 7.6.3).
const pseudonym = "1.1 apphost"

// prepare makes the header of the request.
func (r *relay) prepare() error {
	x := r.x
	r.method = string(x.Method())
	if r.method == "CONNECT" {
		return errMethod
	}
	if hops(x.Header(exchange.Request)) >= hopsMax {
		return errLoop
	}
	target, err := r.proxy.config.Upstream.target(x.URI())
	if err != nil {
		return err
	}
	h := &head{}
	h.text = append(h.text, r.method+" "...)
	h.text = append(append(h.text, target...), " HTTP/1.1\r\n"...)
	in := x.Header(exchange.Request)
	r.body(in)
	r.protocol = upgradeOf(x, in)
	r.expects = r.length != 0 && x.Protocol() == "HTTP/1.1" && strings.EqualFold(first(in, "Expect"), "100-continue")
	host := first(in, "Host")
	if host == "" {
		host = r.proxy.config.Upstream.host
	}
	h.add("Host", host)
	named := tokens(in, "Connection")
	_, _, notTCP := net.SplitHostPort(x.RemoteAddr())
	in.Names(func(name []byte) bool {
		if isOurs(name) || named[strings.ToLower(string(name))] || notTCP == nil && isForwarded(name) {
			return true
		}
		name = bytes.Clone(name)
		in.Values(name, func(value []byte) bool {
			h.add(string(name), string(value))
			return true
		})
		return true
	})
	r.frame(h)
	if notTCP == nil {
		forwarded(h, x.RemoteAddr(), host)
	}
	h.add("Via", pseudonym)
	h.text = append(h.text, "\r\n"...)
	r.head = h.text
	return h.err
}

// hops counts the servers like this one on the way of a request.
func hops(in exchange.Header) int {
	n := 0
	in.Values([]byte("Via"), func(value []byte) bool {
		n += bytes.Count(value, []byte(pseudonym))
		return true
	})
	return n
}

// body finds out what there is of a body.
func (r *relay) body(in exchange.Header) {
	r.source = r.x.Body()
	sized, ok := r.source.(exchange.Sized)
	switch {
	case ok:
		r.length = sized.Remaining()
	case first(in, "Transfer-Encoding") != "" || first(in, "Content-Length") != "":
		r.length = -1
	}
}

// frame adds the fields about the connection and the body, all of which are ours.
func (r *relay) frame(h *head) {
	switch {
	case r.length < 0:
		h.add("Transfer-Encoding", "chunked")
	case r.length > 0, r.method == "POST", r.method == "PUT", r.method == "PATCH":
		h.add("Content-Length", strconv.FormatInt(r.length, 10))
	}
	if r.expects {
		h.add("Expect", "100-continue")
	}
	in := r.x.Header(exchange.Request)
	switch {
	case r.protocol != "":
		h.add("Connection", "Upgrade")
		h.add("Upgrade", r.protocol)
	case tokens(in, "TE")["trailers"]:
		h.add("Connection", "TE")
		h.add("TE", "trailers")
	}
}

// forwarded adds what the upstream could not know otherwise.
func forwarded(h *head, remote, host string) {
	if address, _, err := net.SplitHostPort(remote); err == nil {
		h.add("X-Forwarded-For", address)
	}
	h.add("X-Forwarded-Host", host)
	h.add("X-Forwarded-Proto", "http")
}

// upgradeOf is the protocol that the client wants to go on with, if it can be
// passed on.
func upgradeOf(x exchange.Exchange, in exchange.Header) string {
	protocol := first(in, "Upgrade")
	u, ok := x.(exchange.Upgrader)
	if protocol == "" || !ok || !tokens(in, "Connection")["upgrade"] || !u.CanUpgrade() {
		return ""
	}
	for name := range tokens(in, "Upgrade") {
		if strings.HasPrefix(name, "h2") || strings.HasPrefix(name, "http/") {
			return ""
		}
	}
	return protocol
}

// isOurs reports whether a field is not passed on as it is.
func isOurs(name []byte) bool {
	switch strings.ToLower(string(name)) {
	case "host", "content-length", "expect", "http2-settings",
		"connection", "proxy-connection", "keep-alive", "te", "transfer-encoding", "upgrade":
		return true
	}
	return false
}

// isForwarded reports whether a field says for whom a request is. To programs
// that get it as a variable, "_" and "-" are the same.
func isForwarded(name []byte) bool {
	lower := strings.ReplaceAll(strings.ToLower(string(name)), "_", "-")
	return strings.HasPrefix(lower, "x-forwarded-") || lower == "forwarded" || lower == "x-real-ip"
}

// first is the first value of a field, or "".
func first(h exchange.Header, name string) string {
	out := ""
	h.Values([]byte(name), func(value []byte) bool {
		out = string(value)
		return false
	})
	return out
}

// tokens are the elements of a list, in lower case.
func tokens(h exchange.Header, name string) map[string]bool {
	var out map[string]bool
	h.Values([]byte(name), func(value []byte) bool {
		for token := range strings.SplitSeq(string(value), ",") {
			if out == nil {
				out = make(map[string]bool)
			}
			token, _, _ = strings.Cut(token, ";")
			out[strings.ToLower(strings.TrimSpace(token))] = true
		}
		return true
	})
	return out
}

// head is the header of a request.
type head struct {
	text []byte
	err  error
}

// add adds a line. Whatever the exchange took for a value, no line of it ends in
// another place than here.
func (h *head) add(name, value string) {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			h.err = errField
			return
		}
	}
	h.text = append(h.text, name...)
	h.text = append(h.text, ": "...)
	h.text = append(h.text, value...)
	h.text = append(h.text, "\r\n"...)
}

// trailers are the lines at the end of a body in chunks.
func trailers(x exchange.Exchange) ([]byte, error) {
	h := &head{}
	in := x.Header(exchange.RequestTrailers)
	in.Names(func(name []byte) bool {
		if isOurs(name) || isForwarded(name) {
			return true
		}
		name = bytes.Clone(name)
		in.Values(name, func(value []byte) bool {
			h.add(string(name), string(value))
			return true
		})
		return true
	})
	return append(h.text, "\r\n"...), h.err
}
