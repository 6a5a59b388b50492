package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/apphost/apphost/host/exchange"
)

// The defaults of Config.
const (
	DefaultConnectTimeout = 5 * time.Second
	DefaultTimeout        = 60 * time.Second
)

// Config is what a Proxy is made of. In durations 0 means the default.
type Config struct {
	Upstream Upstream
	// ConnectTimeout bounds the time to reach the upstream, its name's look-up
	// included. Default 5s.
	ConnectTimeout time.Duration
	// Timeout is the longest wait for the upstream: from the end of the request
	// to the response's header, from each piece of the body to the next one, and
	// for it to take in a piece of the request. It is also how long an upgraded
	// connection may be silent. Default 60s.
	Timeout time.Duration
	// Route says in logs which route it is.
	Route string
	// Logger returns where to log what fails.
	Logger func(ctx context.Context) *slog.Logger
}

// Proxy answers with what an upstream answers. Its methods may be called by many
// goroutines; Close only when nothing is served any more.
type Proxy struct {
	config Config
	pool   pool
}

var _ exchange.Handler = (*Proxy)(nil)

// New makes a proxy. It connects to nobody yet.
func New(config Config) *Proxy {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = DefaultConnectTimeout
	}
	if config.Timeout == 0 {
		config.Timeout = DefaultTimeout
	}
	p := &Proxy{config: config}
	p.pool.upstream = config.Upstream
	p.pool.dialer.Timeout = config.ConnectTimeout
	return p
}

// Close closes the connections that are kept.
func (p *Proxy) Close() { p.pool.close() }

// Serve has the upstream answer x.
func (p *Proxy) Serve(ctx context.Context, x exchange.Exchange) error {
	r := &relay{ctx: ctx, proxy: p, x: x, began: time.Now()}
	if err := r.prepare(); err != nil {
		if errors.Is(err, errLoop) {
			p.log(ctx, slog.LevelWarn, "request not passed on", err)
			return answer(x, http.StatusLoopDetected)
		}
		p.log(ctx, slog.LevelDebug, "request not passed on", err)
		return answer(x, http.StatusBadRequest)
	}
	err := r.attempt(ctx, false)
	if err != nil && r.mayRepeat() {
		err = r.attempt(ctx, true)
	}
	switch {
	case err == nil:
		return nil
	case r.client != nil && isNetwork(r.client):
		p.log(ctx, slog.LevelDebug, "client broke off", r.client)
		return r.client
	case r.client != nil:
		p.log(ctx, slog.LevelWarn, "response not passed on", r.client)
		return r.client
	case r.begun:
		p.log(ctx, slog.LevelWarn, "upstream broke off", err)
		return err
	}
	p.log(ctx, slog.LevelWarn, "upstream failed", err)
	status := http.StatusBadGateway
	if timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok && timeout.Timeout() {
		status = http.StatusGatewayTimeout
	}
	return answer(x, status)
}

func (p *Proxy) log(ctx context.Context, level slog.Level, what string, err error) {
	p.config.Logger(ctx).LogAttrs(ctx, level, what,
		slog.String("route", p.config.Route), slog.String("upstream", p.config.Upstream.String()), slog.Any("error", err))
}

// attempt has the upstream answer on one connection.
func (r *relay) attempt(ctx context.Context, fresh bool) error {
	c, err := r.proxy.pool.get(ctx, fresh)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	r.c, c.read = c, r.read
	res, err := r.send() //nolint:bodyclose // closing would read all of it; the connection is closed or kept
	if err == nil {
		err = r.pass(res)
	}
	if client := r.failed.Load(); client != nil {
		r.client = *client // what join does to it is not the client's fault
	}
	r.join()
	switch {
	case r.upgraded: // it has the connection
	case err == nil && r.whole() && !res.Close:
		r.proxy.pool.put(c)
	default:
		_ = c.Close()
	}
	return err
}

// mayRepeat reports whether nothing has happened on a connection that was kept,
// so that it was most likely closed when the request came.
func (r *relay) mayRepeat() bool {
	idempotent := []string{"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"} // RFC 9110, section 9.2.2
	return r.c != nil && r.c.reused && !r.c.heard && !r.started && r.failed.Load() == nil && slices.Contains(idempotent, r.method)
}

// errSilent is of an upstream that keeps us waiting.
type errSilent time.Duration

func (e errSilent) Error() string {
	return fmt.Sprintf("nothing came for %s", time.Duration(e))
}

// Timeout makes it a timeout, as in package net.
func (errSilent) Timeout() bool { return true }

// answer says what the status says.
func answer(x exchange.Exchange, status int) error {
	if err := x.SetStatus(status); err != nil {
		return fmt.Errorf("answer in place of the upstream: %w", err)
	}
	header := x.Header(exchange.Response)
	for _, f := range [...][2]string{{"Content-Type", "text/plain; charset=utf-8"}, {"X-Content-Type-Options", "nosniff"}} {
		if err := header.Set([]byte(f[0]), []byte(f[1])); err != nil {
			return fmt.Errorf("answer in place of the upstream: %w", err)
		}
	}
	_, err := fmt.Fprintf(writer{x}, "%d %s\n", status, http.StatusText(status))
	return err
}

// writer is an exchange to write to.
type writer struct{ exchange.Exchange }

// isNetwork reports whether a failure is one of the client's, which come and go.
func isNetwork(err error) bool {
	var number syscall.Errno
	return errors.Is(err, errGone) || errors.Is(err, errBody) || isTimeout(err) || errors.As(err, &number) || errors.Is(err, net.ErrClosed)
}

// isTimeout reports whether a deadline has passed.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
