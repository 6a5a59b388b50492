package proxy

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/apphost/apphost/host/internal/sock"
)

// idleMax is how many connections are kept for later. A child that serves one
// connection at a time needs one.
const idleMax = 4

// idleTimeout is for how long. It is less than the time after which common
// servers close on their side, and than what hurts one that has a process for
// each connection.
const idleTimeout = 4 * time.Second

// headerBytesMax is the largest header of a response, those with status 1xx
// before it included.
const headerBytesMax = 64 << 10

var errHeaderTooLarge = errors.New("the header of the response is larger than 64 KiB")

// conn is a connection to the upstream.
type conn struct {
	net.Conn
	buffered *bufio.Reader
	idle     time.Time // since when
	reused   bool
	heard    bool // something came since the request was sent

	// read is how the current user waits; nil is as long as it takes.
	read       func(p []byte) (int, error)
	headerLeft int // how much more may come; -1: any amount
}

// Read is for buffered.
func (c *conn) Read(p []byte) (int, error) {
	if c.headerLeft == 0 {
		return 0, errHeaderTooLarge
	}
	if c.headerLeft > 0 {
		p = p[:min(len(p), c.headerLeft)]
	}
	read := c.read
	if read == nil {
		read = c.Conn.Read
	}
	n, err := read(p)
	if n > 0 {
		c.heard = true
	}
	if c.headerLeft > 0 {
		c.headerLeft -= n
	}
	return n, err
}

// CloseWrite tells the upstream that nothing more will be written.
func (c *conn) CloseWrite() error {
	return c.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

// pool are the connections of one upstream that are not in use.
type pool struct {
	upstream Upstream
	dialer   net.Dialer

	mu     sync.Mutex
	idle   []*conn // the one used last is the last one
	closed bool
	expiry *time.Timer // nil: none was needed yet
}

// get returns a connection, a new one if asked for or none is kept.
func (p *pool) get(ctx context.Context, fresh bool) (*conn, error) {
	for !fresh {
		c := p.take()
		if c == nil {
			break
		}
		if time.Since(c.idle) < idleTimeout && sock.Quiet(c.Conn.(syscall.Conn)) {
			c.reused, c.heard, c.headerLeft = true, false, headerBytesMax
			return c, nil
		}
		_ = c.Close()
	}
	raw, err := p.dialer.DialContext(ctx, p.upstream.network, p.upstream.address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, headerLeft: headerBytesMax}
	c.buffered = bufio.NewReaderSize(c, 16<<10)
	return c, nil
}

func (p *pool) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	last := len(p.idle) - 1
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return c
}

// put keeps a connection on which a response has ended.
func (p *pool) put(c *conn) {
	c.read = nil
	if c.SetDeadline(time.Time{}) != nil || c.buffered.Buffered() > 0 {
		_ = c.Close()
		return
	}
	c.idle = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= idleMax {
		_ = c.Close()
		return
	}
	p.idle = append(p.idle, c)
	if p.expiry == nil {
		p.expiry = time.AfterFunc(idleTimeout, p.expire)
	} else if len(p.idle) == 1 {
		p.expiry.Reset(idleTimeout)
	}
}

// expire closes what was idle for too long.
func (p *pool) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 && time.Since(p.idle[0].idle) >= idleTimeout {
		_ = p.idle[0].Close()
		p.idle = p.idle[1:]
	}
	if len(p.idle) > 0 {
		p.expiry.Reset(idleTimeout - time.Since(p.idle[0].idle))
	}
}

// close ends what is idle, and what will be.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		_ = c.Close()
	}
	p.idle = nil
	if p.expiry != nil {
		p.expiry.Stop()
	}
}
