package web

import (
	"errors"
	"io"
	"time"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/mpm"
)

// errInterrupted ends a body that is of no more use to its handler.
var errInterrupted = errors.New("the request's body is not needed any more")

// earlyBytes is how much of a next request is taken in while a handler waits
// for the client to go.
const earlyBytes = 512

// duplex is a connection that another goroutine reads while the handler's
// writes. Of conn, the first one uses what is about reading, Read and its
// fields, which then does not flush; the second one uses the rest.
type duplex conn

var (
	_ exchange.Duplexer = (*exchangeState)(nil)
	_ exchange.Upgrader = (*exchangeState)(nil)
)

// Duplex implements exchange.Duplexer.
func (x *exchangeState) Duplex() (exchange.Duplex, error) {
	c := x.c
	if err := c.startDuplex(); err != nil {
		return nil, err
	}
	x.body.ask()
	if err := c.flush(); err != nil {
		c.endDuplex()
		return nil, err
	}
	return (*duplex)(c), nil
}

func (c *conn) startDuplex() error {
	if c.duplex {
		return exchange.ErrUnsupported
	}
	model, ok := c.Conn.(mpm.Duplexer)
	if !ok {
		return exchange.ErrUnsupported
	}
	if err := model.Duplex(true); err != nil {
		return err
	}
	c.duplex = true
	c.interrupted.Store(false)
	c.readArmed, c.writeArmed = time.Time{}, time.Time{}
	return nil
}

// endDuplex is called when there is one goroutine again.
func (c *conn) endDuplex() {
	if !c.duplex {
		return
	}
	c.duplex = false
	c.readArmed, c.writeArmed = time.Time{}, time.Time{}
	if err := c.Conn.(mpm.Duplexer).Duplex(false); err != nil && c.err == nil {
		c.err = err
	}
}

// Interrupt implements exchange.Duplex. A reader that sets its deadline at the
// same time looks at the flag after that: see receive.
func (d *duplex) Interrupt() {
	d.interrupted.Store(true)
	_ = d.SetReadDeadline(time.Unix(1, 0)) // long ago
}

// Gone implements exchange.Duplex.
func (d *duplex) Gone() bool {
	c := (*conn)(d)
	if len(c.early) > 0 || c.x.body.err != io.EOF {
		return false
	}
	c.readArmed = time.Time{}
	if err := c.SetReadDeadline(c.readArmed); err != nil {
		return false
	}
	buf := make([]byte, earlyBytes)
	n, err := c.receive(buf)
	c.early = buf[:n]
	return n == 0 && err != nil && !errors.Is(err, errInterrupted)
}

// receive reads what is there, or comes.
func (c *conn) receive(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	if !c.duplex {
		return c.Conn.Read(p)
	}
	if c.interrupted.Load() {
		return 0, errInterrupted
	}
	n, err := c.Conn.Read(p)
	if err != nil && c.interrupted.Load() {
		err = errInterrupted
	}
	return n, err
}
