package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/apphost/apphost/host/exchange"
)

const (
	// watchAfter is how long the upstream may be silent until the client is
	// watched: most answer before, and the watch costs as much as a small request.
	watchAfter = 250 * time.Millisecond
	// continueAfter is how long it may take to ask for the body: not all
	// servers know that they are to (RFC 9110, section 10.1.1).
	continueAfter = time.Second
)

var (
	// errGone is of a client that has closed the connection.
	errGone = errors.New("the client has gone")
	// errBody is of a client whose body cannot be read.
	errBody = errors.New("pass the request's body")
)

// relay is one request on its way. The goroutine of Serve sends the header and
// passes the response. Another one, beside, passes the request's body and then
// watches the client; it is started when there is something for it to do.
type relay struct {
	ctx   context.Context // of the connection
	proxy *Proxy
	x     exchange.Exchange
	c     *conn
	began time.Time

	// The request.
	method   string
	head     []byte
	source   io.Reader
	length   int64  // of the body; -1: unknown
	expects  bool   // the body is sent when the upstream asks for it
	protocol string // to which the client wants to upgrade, or ""

	// The response.
	begun    bool // it was begun
	flushed  bool // what was written of it was sent
	upgraded bool // the connection is not ours any more

	// The goroutine beside.
	started bool
	duplex  exchange.Duplex // nil: there is none
	ended   chan struct{}

	sent     atomic.Bool           // the whole request
	lastSent atomic.Int64          // when a piece was, after began
	onClient atomic.Bool           // we wait for the client's next piece
	failed   atomic.Pointer[error] // what the client did
	client   error                 // the same, when the exchange with the upstream ended
}

// send sends the request, and returns the header of the response to it.
func (r *relay) send() (*http.Response, error) {
	c := r.c
	if err := c.SetWriteDeadline(time.Now().Add(r.proxy.config.Timeout)); err != nil {
		return nil, fmt.Errorf("send request: %w", err)
	}
	if _, err := c.Write(r.head); err != nil {
		return nil, fmt.Errorf("send request: %w", err)
	}
	r.noteSent()
	if r.length == 0 {
		r.sent.Store(true)
	} else if !r.expects {
		r.start()
	}
	for {
		res, err := http.ReadResponse(c.buffered, &http.Request{Method: r.method})
		switch {
		case err != nil && errors.Is(err, io.EOF) && !c.heard:
			return nil, fmt.Errorf("read response: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return nil, fmt.Errorf("read response: %w", err)
		case res.StatusCode == http.StatusSwitchingProtocols && r.protocol == "":
			return nil, errors.New("read response: it upgrades to another protocol, and was not asked to")
		case res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols:
			c.headerLeft = -1
			return res, nil
		case res.StatusCode == http.StatusContinue && r.expects && !r.started:
			r.start()
		}
	}
}

// start has the body sent and the client watched.
func (r *relay) start() {
	r.started = true
	if x, ok := r.x.(exchange.Duplexer); ok {
		if duplex, err := x.Duplex(); err == nil {
			r.duplex, r.ended = duplex, make(chan struct{})
			go r.beside()
			return
		}
	}
	if r.length != 0 {
		r.sendBody() // all of it, and only then comes the response
	}
}

func (r *relay) beside() {
	defer close(r.ended)
	if r.length != 0 {
		r.sendBody()
	}
	if r.sent.Load() && r.duplex.Gone() {
		r.abort(errGone)
	}
}

// abort ends the request because of the client.
func (r *relay) abort(why error) {
	r.failed.CompareAndSwap(nil, &why)
	_ = r.c.Close()
}

// join waits until nothing is done beside any more. If there is still something
// of the request to be sent, it is too late for that.
func (r *relay) join() {
	if r.duplex == nil {
		return
	}
	r.duplex.Interrupt()
	if !r.whole() {
		_ = r.c.Close()
	}
	<-r.ended
	r.duplex = nil
}

// whole reports whether the request was sent to its end.
func (r *relay) whole() bool { return r.sent.Load() }

func (r *relay) noteSent() { r.lastSent.Store(int64(time.Since(r.began))) }

// chunkHeadBytes is the room for the size of a chunk and its line end.
const chunkHeadBytes = 10

// sendBody passes the request's body. A failure of the upstream is none here: it
// may have answered, and closed because it does not want the rest.
func (r *relay) sendBody() {
	buf := make([]byte, chunkHeadBytes+copyBytes+2)
	for left := r.length; ; {
		r.onClient.Store(true)
		n, err := r.source.Read(buf[chunkHeadBytes : chunkHeadBytes+copyBytes])
		r.noteSent() // it is about to be: from now on the upstream's time counts
		r.onClient.Store(false)
		piece := buf[chunkHeadBytes : chunkHeadBytes+n]
		switch {
		case err != nil && err != io.EOF:
			r.abort(fmt.Errorf("%w: %w", errBody, err))
			return
		case r.length < 0:
			piece = chunk(buf, n)
		case int64(n) > left, err == io.EOF && int64(n) < left:
			r.abort(fmt.Errorf("%w: %w", errBody, io.ErrUnexpectedEOF))
			return
		default:
			left -= int64(n)
			if left == 0 {
				err = io.EOF
			}
		}
		if err == io.EOF && r.length < 0 {
			end, fault := trailers(r.x)
			if fault != nil {
				r.abort(fault)
				return
			}
			piece = append(append(piece, "0\r\n"...), end...)
		}
		if r.write(piece) != nil {
			return
		}
		if err == io.EOF {
			r.sent.Store(true)
			return
		}
	}
}

// chunk makes a chunk of the n bytes behind the room for its size.
func chunk(buf []byte, n int) []byte {
	if n == 0 {
		return nil
	}
	var size [chunkHeadBytes]byte
	text := append(strconv.AppendInt(size[:0], int64(n), 16), "\r\n"...)
	start := chunkHeadBytes - len(text)
	copy(buf[start:], text)
	return append(buf[start:chunkHeadBytes+n], "\r\n"...)
}

func (r *relay) write(piece []byte) error {
	if err := r.c.SetWriteDeadline(time.Now().Add(r.proxy.config.Timeout)); err != nil {
		return err
	}
	_, err := r.c.Write(piece)
	r.noteSent()
	return err
}

// read waits for the upstream. It is the way of everything that comes from there:
// before it can block, all output goes out.
func (r *relay) read(p []byte) (int, error) {
	if err := r.flush(); err != nil {
		return 0, err
	}
	began := time.Since(r.began)
	for {
		deadline := max(began, time.Duration(r.lastSent.Load())) + r.proxy.config.Timeout
		until := deadline
		if !r.started {
			patience := watchAfter
			if r.expects {
				patience = continueAfter
			}
			until = min(deadline, began+patience)
		}
		if err := r.c.SetReadDeadline(r.began.Add(until)); err != nil {
			return 0, err
		}
		n, err := r.c.Conn.Read(p)
		if n > 0 || !isTimeout(err) {
			return n, err
		}
		now := time.Since(r.began)
		switch {
		case !r.started && now < deadline:
			r.start()
		case r.onClient.Load():
			began = now // the client has timeouts of its own
		case now >= max(began, time.Duration(r.lastSent.Load()))+r.proxy.config.Timeout:
			return 0, errSilent(r.proxy.config.Timeout)
		}
	}
}
