package web

import "github.com/apphost/apphost/mpm"

// lasting is what outlives the calls of ServeConn for a connection that is parked
// between them.
type lasting struct {
	requests uint64 // that it had
	written  int64  // bytes
}

// resume reports whether there is a request for the library. It takes up a
// connection that was parked: the library would take the next request for the first
// one, so the wait for that, with its timeout and what may end it, is ended here. The
// timeout begins anew, and so one that could not be parked may idle for up to twice as
// long: with the old one, a request that came just in time would find it over.
func (c *conn) resume() bool {
	c.kept, c.parked = nil, false
	m, ok := c.Conn.(mpm.Parkable)
	if !ok {
		return true
	}
	if c.kept, ok = m.Kept().(*lasting); !ok {
		c.kept = new(lasting)
		m.Keep(c.kept)
		return true
	}
	c.written = c.kept.written
	c.record.trace.Continue(c.kept.requests)
	c.phase = inIdle
	begin := make([]byte, earlyBytes)
	n, _ := c.Read(begin)
	c.early = begin[:n]
	return n > 0
}

// park leaves what the next call of ServeConn is to know.
func (c *conn) park() {
	c.kept.requests, c.kept.written = c.record.trace.Requests(), c.written
}
