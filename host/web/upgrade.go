package web

import (
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/mpm"
)

// upgrade is what becomes of a connection after a response with status 101. The
// library gives it up, with what it has read too much, on a goroutine of its
// own, which waits until ServeConn's is done with it.
type upgrade struct {
	then func(exchange.Stream)
	conn chan net.Conn // from the library
	done chan struct{}
}

// CanUpgrade implements exchange.Upgrader.
func (x *exchangeState) CanUpgrade() bool {
	_, ok := x.c.Conn.(mpm.Duplexer)
	return ok && x.http.Request.Header.IsHTTP11() && x.body.err == io.EOF && x.reroutes == 0
}

// Upgrade implements exchange.Upgrader.
func (x *exchangeState) Upgrade(protocol []byte, then func(exchange.Stream)) error {
	switch {
	case x.stream.on || x.isHeld:
		return exchange.ErrSent
	case !x.CanUpgrade():
		return exchange.ErrUnsupported
	case len(protocol) == 0 || !validValue(protocol):
		return exchange.ErrInvalid
	}
	x.c.endDuplex()
	u := &upgrade{then: then, conn: make(chan net.Conn, 1), done: make(chan struct{})}
	x.c.upgrade = u
	x.status = fasthttp.StatusSwitchingProtocols
	x.stream = stream{on: true, silent: true}
	x.close, x.last = false, false
	x.fillHeader()
	h := &x.http.Response.Header
	h.Del(fasthttp.HeaderContentLength)
	h.Add(fasthttp.HeaderConnection, "Upgrade")
	h.AddBytesV(fasthttp.HeaderUpgrade, protocol)
	_ = x.c.sendHeader(h.Header()) // a failure is kept by the connection
	_ = x.c.flush()
	x.http.HijackSetNoResponse(true)
	x.http.Hijack(func(c net.Conn) {
		u.conn <- c
		<-u.done
	})
	return nil
}

// run is called when the library has returned err. Without one it has given up
// the connection.
func (u *upgrade) run(c *conn, err error) {
	t := &tunnel{conn: c, reader: c}
	defer close(u.done)
	if err == nil {
		t.reader = <-u.conn
		err = c.startDuplex()
	}
	if c.err == nil {
		c.err = err
	}
	t.err = c.err
	c.phase = inTunnel
	u.then(t)
	c.endDuplex()
}

// tunnel is an upgraded connection. Its timeouts are its user's.
type tunnel struct {
	conn   *conn
	reader io.Reader
	err    error // why there is none
}

func (t *tunnel) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	return t.reader.Read(p)
}

func (t *tunnel) Write(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	n, err := t.conn.Conn.Write(p)
	t.conn.written += int64(n)
	return n, err
}

func (t *tunnel) CloseWrite() error                     { return t.conn.CloseWrite() }
func (t *tunnel) SetReadDeadline(when time.Time) error  { return t.conn.SetReadDeadline(when) }
func (t *tunnel) SetWriteDeadline(when time.Time) error { return t.conn.SetWriteDeadline(when) }
