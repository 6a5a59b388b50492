package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/mpm"
)

const (
	// modeDefault lets the server's user connect to a Unix socket.
	modeDefault fs.FileMode = 0o600

	// unixPathMax bounds the path of a Unix socket; see unix(7).
	unixPathMax = 107

	// deferAcceptHTTP is the default of defer_accept where the client speaks first.
	// It is httpd's.
	deferAcceptHTTP = 30 * time.Second
	// deferAcceptMax is about what a client's own patience is.
	deferAcceptMax = 3 * time.Minute

	// Below bufferMin httpd refuses, too; above bufferMax a kernel's integers
	// are not far away.
	bufferMin = 512
	bufferMax = 1 << 30
)

// normalAddress checks an address and returns it in the form in which two
// that name the same socket are equal.
func (d *decoder) normalAddress(address string) (string, error) {
	path, ok := strings.CutPrefix(address, mpm.UnixPrefix)
	if !ok {
		return checkAddress(address)
	}
	switch {
	case path == "":
		return "", errors.New(`names no file; write "unix:" and its path, such as "unix:/run/apphost.sock"`)
	case strings.HasPrefix(path, "@"):
		return "", fmt.Errorf(`abstract sockets have no permissions and are not supported; give the path of a file, got %q`, address)
	case strings.HasSuffix(path, "/"):
		return "", fmt.Errorf("must end in the name of a file, got %q", address)
	case strings.ContainsFunc(path, isControl):
		return "", fmt.Errorf("must not hold control characters, got %q", address)
	}
	normal := d.unixAddress(address)
	if n := len(normal) - len(mpm.UnixPrefix); n > unixPathMax {
		return "", fmt.Errorf("the path of a Unix socket may have %d bytes; this one has %d", unixPathMax, n)
	}
	return normal, nil
}

// unixAddress is the address with its path made absolute.
func (d *decoder) unixAddress(address string) string {
	return mpm.UnixPrefix + d.resolve(strings.TrimPrefix(address, mpm.UnixPrefix))
}

// mode reads the permissions of a Unix socket's file, as chmod(1) has them.
func (t *table) mode(key string, unix bool) fs.FileMode {
	mode := modeDefault
	var text string
	if v, ok := t.values[key].(int64); ok {
		t.known = append(t.known, key)
		t.fault(key, `must be in quotes, such as "0660", got the integer %d`, v)
		return mode
	}
	given := t.text(key, &text)
	switch {
	case !t.has(key):
		if unix {
			return mode
		}
		return 0
	case !unix && !t.refusedKey("address"):
		t.fault(key, `goes with a Unix socket only, an address that begins with "unix:"`)
	case given:
		n, err := strconv.ParseUint(text, 8, 32)
		if err != nil || n > 0o777 {
			t.fault(key, `must be permissions in octal, from "0000" to "0777", got %q`, text)
			return mode
		}
		return fs.FileMode(n)
	}
	return mode
}

// socketOptions reads the options of a listener's socket. They are TCP's: the
// connections of a Unix socket do not inherit any.
func (t *table) socketOptions(unix bool, protocol host.Protocol) mpm.SocketOptions {
	o := mpm.SocketOptions{KeepAlive: true, NoDelay: true}
	if protocol == host.HTTP {
		o.DeferAccept = deferAcceptHTTP
	}
	t.boolean("keepalive", &o.KeepAlive)
	t.boolean("nodelay", &o.NoDelay)
	t.boolean("freebind", &o.FreeBind)
	t.boolean("v6only", &o.V6Only)
	t.duration("defer_accept", &o.DeferAccept)
	if d := o.DeferAccept; d < 0 || d > deferAcceptMax || d%time.Second != 0 {
		t.fault("defer_accept", `must be "0s", which is off, or whole seconds up to %q, got %q`, "3m", t.values["defer_accept"])
	}
	t.buffer("send_buffer", &o.SendBuffer)
	t.buffer("receive_buffer", &o.ReceiveBuffer)
	if !unix {
		return o
	}
	for _, key := range []string{"keepalive", "nodelay", "freebind", "v6only", "defer_accept", "send_buffer", "receive_buffer"} {
		if t.has(key) && !t.refusedKey(key) {
			t.fault(key, "goes with TCP only, and this is a Unix socket; remove it")
		}
	}
	return mpm.SocketOptions{}
}

// v6only refuses the key where it is plain that the address is not IPv6; what
// a name means is known later.
func (t *table) v6only(address string) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return // which has a fault of its own
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
		t.fault("v6only", "goes with an IPv6 address only, got %q", address)
	}
}

// buffer reads a size in bytes; "0" is the system's.
func (t *table) buffer(key string, dst *int) {
	if t.values[key] == "0" {
		t.known = append(t.known, key)
		return
	}
	var n uint64
	if t.size(key, &n, bufferMin, bufferMax) {
		*dst = int(n)
	}
}
