package proxy

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/apphost/apphost/host/exchange"
)

// copyBytes is the most that is passed on at a time.
const copyBytes = 32 << 10

// pass gives the client the response.
func (r *relay) pass(res *http.Response) error {
	if err := r.passHeader(res); err != nil {
		return err
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return r.upgrade(res)
	}
	// The first piece is held back, and only a second one keeps the body's
	// framing as it was.
	r.begun = true
	if _, err := r.x.Write(nil); err != nil {
		return r.gone(err)
	}
	buf := make([]byte, copyBytes)
	for {
		n, err := res.Body.Read(buf)
		if n > 0 {
			r.flushed = true
			if _, err := r.x.Write(buf[:n]); err != nil {
				return r.gone(err)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read the response's body: %w", err)
		}
	}
	if err := r.flush(); err != nil {
		return err
	}
	out := r.x.Header(exchange.ResponseTrailers)
	for name, values := range res.Trailer {
		for _, v := range values {
			_ = out.Add([]byte(name), []byte(v)) // one that is not allowed is dropped: RFC 9110, section 6.5.1
		}
	}
	return nil
}

// flush sends what was written of the response.
func (r *relay) flush() error {
	if !r.begun || r.flushed {
		return nil
	}
	r.flushed = true
	if _, err := r.x.Write(nil); err != nil {
		return r.gone(err)
	}
	return nil
}

// gone notes that the response cannot be sent.
func (r *relay) gone(err error) error {
	r.failed.CompareAndSwap(nil, &err)
	return err
}

// passHeader makes status and header those of the upstream. If it fails, nothing
// of them is left.
func (r *relay) passHeader(res *http.Response) error {
	out := r.x.Header(exchange.Response)
	names := slices.Sorted(maps.Keys(res.Header))
	dropped := connectionFields(res.Header)
	for _, name := range names {
		if dropped[name] {
			continue
		}
		for _, v := range res.Header[name] {
			if err := out.Add([]byte(name), []byte(v)); err != nil {
				for _, name := range names {
					_ = out.Remove([]byte(name))
				}
				return fmt.Errorf("pass the response's field %q: %w", name, err)
			}
		}
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	if err := r.x.SetStatus(res.StatusCode); err != nil {
		return fmt.Errorf("pass the response's status %d: %w", res.StatusCode, err)
	}
	return nil
}

// connectionFields are the fields that are about the upstream's connection.
func connectionFields(h http.Header) map[string]bool {
	out := map[string]bool{
		"Connection": true, "Proxy-Connection": true, "Keep-Alive": true, "Te": true,
		"Transfer-Encoding": true, "Upgrade": true, "Trailer": true,
	}
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			out[http.CanonicalHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	return out
}

// upgrade hands the connection over to the new protocol.
func (r *relay) upgrade(res *http.Response) error {
	protocol := res.Header.Get("Upgrade")
	if !strings.EqualFold(protocol, r.protocol) && !slices.ContainsFunc(strings.Split(r.protocol, ","), func(asked string) bool {
		return strings.EqualFold(strings.TrimSpace(asked), protocol)
	}) {
		return fmt.Errorf("read response: it upgrades to %q, asked for was %q", protocol, r.protocol)
	}
	r.join()
	if client := r.failed.Load(); client != nil {
		return *client
	}
	c := r.c
	c.read = nil
	err := r.x.(exchange.Upgrader).Upgrade([]byte(protocol), func(s exchange.Stream) {
		err := tunnel(s, c, r.proxy.config.Timeout)
		if err != nil && !errors.Is(err, errIdle) {
			r.proxy.log(r.ctx, slog.LevelDebug, "upgraded connection broke off", err)
		}
	})
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	r.upgraded = true
	return nil
}
