// Package fixed answers requests with what the configuration says: a redirect,
// or a response. It looks at nothing of a request but its target.
package fixed

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/internal/urlpath"
)

// Response is an answer. It implements exchange.Handler and may be used by
// many goroutines.
type Response struct {
	Status int
	// Header are fields in the order given, names and values as they are sent.
	Header []Field
	Body   []byte
}

// Field is one of a header.
type Field struct{ Name, Value string }

var _ exchange.Handler = (*Response)(nil)

// Serve answers x.
func (r *Response) Serve(_ context.Context, x exchange.Exchange) error {
	return r.answer(x, nil)
}

func (r *Response) answer(x exchange.Exchange, location []byte) error {
	if err := x.SetStatus(r.Status); err != nil {
		return fmt.Errorf("set status: %w", err)
	}
	header := x.Header(exchange.Response)
	for _, f := range r.Header {
		if err := header.Add([]byte(f.Name), []byte(f.Value)); err != nil {
			return fmt.Errorf("set header %q: %w", f.Name, err)
		}
	}
	if location != nil {
		if err := header.Set([]byte("Location"), location); err != nil {
			return fmt.Errorf("set location: %w", err)
		}
	}
	_, err := x.Write(r.Body)
	return err
}

// Redirect sends clients elsewhere.
type Redirect struct {
	Response
	// Location is where to. The request's query is added to one without a query
	// of its own.
	Location string
	// Path is the path that is redirected. If it and Location end in "/", what
	// follows it in a request's is added to Location.
	Path string
}

var _ exchange.Handler = (*Redirect)(nil)

// Serve answers x.
func (r *Redirect) Serve(_ context.Context, x exchange.Exchange) error {
	location := []byte(r.Location)
	if strings.HasSuffix(r.Path, "/") && strings.HasSuffix(r.Location, "/") {
		var buf []byte
		if rest, ok := bytes.CutPrefix(urlpath.Clean(&buf, x.URI()), []byte(r.Path)); ok {
			location = append(location, (&url.URL{Path: string(rest)}).EscapedPath()...)
		}
	}
	if query := bytes.IndexByte(x.URI(), '?'); query >= 0 && !bytes.ContainsAny(location, "?#") {
		location = append(location, x.URI()[query:]...)
	}
	return r.answer(x, location)
}
