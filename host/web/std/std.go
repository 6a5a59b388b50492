// Package std lets what is written for net/http answer exchanges: the
// standard library's file server has seen more of HTTP's corners than new code
// would.
//
// A handler gets a request with the exchange's method, target, header, body
// and, once the body is read, trailers. What it writes goes out as it comes:
// see exchange.Exchange.Write; Flush sends what is held. It can hijack nothing.
//
// It is for handlers that keep to their goroutine: like an exchange, request
// and writer are used by one at a time, and not after the handler has returned.
package std

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/apphost/apphost/host/exchange"
)

// Serve lets h answer x. An error means that the response could not be sent:
// the client has gone, or h made a response that HTTP does not allow.
func Serve(ctx context.Context, x exchange.Exchange, h http.Handler) error {
	r, err := Request(ctx, x)
	if err != nil {
		return err
	}
	w := NewWriter(x)
	h.ServeHTTP(w, r)
	return w.Finish()
}

// Request is the request of x. Its body is the exchange's.
func Request(ctx context.Context, x exchange.Exchange) (*http.Request, error) {
	target := string(x.URI())
	u, err := url.ParseRequestURI(target)
	if err != nil {
		// Such as a "%" on its own, which is no fault to those who look at the
		// raw target.
		path, query, _ := strings.Cut(target, "?")
		u = &url.URL{Path: path, RawQuery: query}
	}
	if strings.HasPrefix(target, "//") { // not a host: the target is a path
		path, query, _ := strings.Cut(target, "?")
		u = &url.URL{Path: path, RawQuery: query}
	}
	r := (&http.Request{
		Method: string(x.Method()), URL: u, RequestURI: target,
		Proto: x.Protocol(), Header: http.Header{}, RemoteAddr: x.RemoteAddr(),
	}).WithContext(ctx)
	var ok bool
	if r.ProtoMajor, r.ProtoMinor, ok = http.ParseHTTPVersion(r.Proto); !ok {
		return nil, fmt.Errorf("read request: unknown protocol %q", r.Proto)
	}
	copyHeader(r.Header, x.Header(exchange.Request))
	r.Host = r.Header.Get("Host")
	r.Header.Del("Host")
	r.ContentLength = contentLength(r.Header)
	if r.ContentLength < 0 {
		r.TransferEncoding = []string{"chunked"}
		r.Header.Del("Transfer-Encoding")
	}
	r.Body = http.NoBody
	if r.ContentLength != 0 {
		r.Body = &body{x: x, r: r}
	}
	return r, nil
}

// contentLength is what a request's header says of its body, -1 if that has no
// known length.
func contentLength(h http.Header) int64 {
	if h.Get("Transfer-Encoding") != "" {
		return -1
	}
	n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func copyHeader(to http.Header, from exchange.Header) {
	from.Names(func(name []byte) bool {
		key := http.CanonicalHeaderKey(string(name))
		from.Values([]byte(key), func(value []byte) bool {
			to[key] = append(to[key], string(value))
			return true
		})
		return true
	})
}

// body is a request's body, which brings the trailers at its end.
type body struct {
	x exchange.Exchange
	r *http.Request
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.x.Body().Read(p)
	if err == io.EOF {
		trailer := http.Header{}
		copyHeader(trailer, b.x.Header(exchange.RequestTrailers))
		if len(trailer) > 0 {
			b.r.Trailer = trailer
		}
	}
	return n, err
}

func (b *body) Close() error { return nil }

// Writer is a response of x as net/http has it.
type Writer struct {
	x      exchange.Exchange
	header http.Header
	sent   bool // the header was handed over
	wrote  bool // so was a piece of the body
	err    error
}

var (
	_ http.ResponseWriter = (*Writer)(nil)
	_ http.Flusher        = (*Writer)(nil)
)

// NewWriter returns a writer for the response of x.
func NewWriter(x exchange.Exchange) *Writer { return &Writer{x: x, header: http.Header{}} }

// Header is the response's header until it is sent, and then its trailers, as
// http.ResponseWriter says.
func (w *Writer) Header() http.Header { return w.header }

// WriteHeader hands over status and header. An informational status is left
// out.
func (w *Writer) WriteHeader(status int) {
	if w.sent || status < 200 {
		return
	}
	w.sent = true
	w.note(w.x.SetStatus(status))
	out := w.x.Header(exchange.Response)
	for name, values := range w.header {
		if strings.HasPrefix(name, http.TrailerPrefix) || w.isTrailer(name) || name == "Trailer" {
			continue
		}
		for _, v := range values {
			w.note(out.Add([]byte(name), []byte(v)))
		}
	}
}

// isTrailer reports whether the handler has announced name as a trailer.
func (w *Writer) isTrailer(name string) bool {
	for _, list := range w.header["Trailer"] {
		for announced := range strings.SplitSeq(list, ",") {
			if http.CanonicalHeaderKey(strings.TrimSpace(announced)) == name {
				return true
			}
		}
	}
	return false
}

// Write adds to the body.
func (w *Writer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.err != nil {
		return 0, w.err
	}
	w.wrote = true
	n, err := w.x.Write(p)
	w.note(err)
	return n, w.err
}

// Flush sends what is held.
func (w *Writer) Flush() {
	if !w.wrote {
		_, _ = w.Write(nil) // the first one is held
	}
	_, _ = w.Write(nil)
}

// Finish is to be called at the end. It says what went wrong with the response.
func (w *Writer) Finish() error {
	w.WriteHeader(http.StatusOK)
	out := w.x.Header(exchange.ResponseTrailers)
	for name, values := range w.header {
		trailer, prefixed := strings.CutPrefix(name, http.TrailerPrefix)
		if !prefixed && !w.isTrailer(name) {
			continue
		}
		for _, v := range values {
			w.note(out.Add([]byte(trailer), []byte(v)))
		}
	}
	return w.err
}

func (w *Writer) note(err error) {
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("write response: %w", err)
	}
}
