package conn

import (
	"crypto/tls"
	"log/slog"
	"net"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/sdk/abi"
)

// connInfo implements abi.ConnInfo.
func connInfo(c call) (uint32, abi.Errno) {
	s := c.s
	if s.conn == nil {
		return 0, abi.ENOTCONN
	}
	var value string
	switch c.arg(0) {
	case abi.InfoPeerAddr:
		value = addrText(s.conn.RemoteAddr())
	case abi.InfoLocalAddr:
		value = addrText(s.conn.LocalAddr())
	case abi.InfoListener:
		value = s.conn.Listener()
	case abi.InfoTLSServerName:
		value = s.tlsState().ServerName
	case abi.InfoALPN:
		value = s.tlsState().NegotiatedProtocol
	case abi.InfoConnID:
		value = s.id.String()
	default:
		return 0, abi.EINVAL
	}
	return c.get(value, c.arg(1), c.arg(2))
}

func addrText(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// tlsState is empty for a plain connection. One that came over TLS has the
// method of crypto/tls.
func (s *session) tlsState() tls.ConnectionState {
	if c, ok := s.conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return c.ConnectionState()
	}
	return tls.ConnectionState{}
}

// configGet implements abi.ConfigGet.
func configGet(c call) (uint32, abi.Errno) {
	key, ok := c.mem.Bytes(c.arg(0), c.arg(1))
	if !ok {
		return 0, abi.EFAULT
	}
	p := c.s.plugin
	if len(key) == 0 {
		return c.get(p.configJSON, c.arg(2), c.arg(3))
	}
	value, ok := p.config[string(key)]
	if !ok {
		return 0, abi.ENOENT
	}
	return c.get(value, c.arg(2), c.arg(3))
}

// guestLog implements abi.Log.
func guestLog(c call) (uint32, abi.Errno) {
	level, ok := guest.LogLevel(int32(c.arg(0)))
	if !ok {
		return 0, abi.EINVAL
	}
	text, ok := c.mem.Bytes(c.arg(1), c.arg(2))
	if !ok {
		return 0, abi.EFAULT
	}
	s := c.s
	if s.plugin.log.Enabled(s.Context, level) && s.budget.Take(len(text)) {
		s.log().LogAttrs(s.Context, level, "guest log", slog.String("text", guest.LogText(text)))
	}
	return 0, 0
}

// stopping implements abi.Stopping.
func stopping(c call) (uint32, abi.Errno) {
	if conn := c.s.conn; conn != nil && conn.Stopping() {
		return 1, 0
	}
	return 0, 0
}
