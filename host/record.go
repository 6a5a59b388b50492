package host

import (
	"crypto/tls"

	"github.com/apphost/apphost/mpm"
)

// What the scoreboard shows of a tcp connection is "plugin NAME" and "tcp": to
// it, the whole connection is one request.
const (
	recordedMethod   = "plugin"
	recordedProtocol = "tcp"
)

// recorded is a connection that counts what is sent on it.
type recorded struct {
	mpm.Conn
	sent int64 // bytes
}

func (r *recorded) Write(p []byte) (int, error) {
	n, err := r.Conn.Write(p)
	r.sent += int64(n)
	return n, err
}

// ConnectionState is that of a connection that came over TLS, else empty.
func (r *recorded) ConnectionState() tls.ConnectionState {
	if c, ok := r.Conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return c.ConnectionState()
	}
	return tls.ConnectionState{}
}

// record shows on the scoreboard, if the model wants to, what serve does with a
// tcp connection.
func record(c mpm.Conn, plugin []byte, serve func(mpm.Conn)) {
	to, ok := c.(mpm.RequestRecorder)
	if !ok {
		serve(c)
		return
	}
	to.BeginRequest([]byte(recordedMethod), plugin, []byte(recordedProtocol))
	counted := &recorded{Conn: c}
	serve(counted)
	to.EndRequest(counted.sent)
}
