package web

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/apphost/apphost/sdk/abi"
	"github.com/apphost/apphost/sdk/internal/httpguest"
)

// FormBytesMax is the longest request body that Form reads.
const FormBytesMax = 1 << 20

// Errors of Request.Form.
var (
	ErrNotForm     = errors.New("the body is not application/x-www-form-urlencoded")
	ErrFormTooLong = fmt.Errorf("the form is longer than %d bytes", FormBytesMax)
)

// Request is what the client asks. It asks the server for each part when that
// is used. One goroutine uses it at a time.
type Request struct {
	exchange httpguest.Exchange

	url      *url.URL // set by the first call of URL
	ended    bool     // the body was read to its end
	form     url.Values
	formErr  error
	formRead bool
}

// Method is GET, POST or another one, as received.
func (r *Request) Method() string { return r.exchange.Method() }

// URI is path and query as received: still encoded.
func (r *Request) URI() string { return r.exchange.URI() }

// URL is the parsed URI: path and query, without scheme and host. A URI that
// is not valid gives a URL with the path "/".
func (r *Request) URL() *url.URL {
	if r.url == nil {
		u, err := url.ParseRequestURI(r.exchange.URI())
		if err != nil {
			u = &url.URL{Path: "/"}
		}
		r.url = u
	}
	return r.url
}

// Path is the decoded path. It starts where the server's paths start, not
// where the plugin is mounted: /shop/cart, not /cart.
func (r *Request) Path() string { return r.URL().Path }

// Query is the parsed query. Pairs that are not valid are left out.
func (r *Request) Query() url.Values { return r.URL().Query() }

// Protocol is the HTTP version, such as HTTP/1.1.
func (r *Request) Protocol() string { return r.exchange.Protocol() }

// RemoteAddr is the client's address, HOST:PORT.
func (r *Request) RemoteAddr() string { return r.exchange.RemoteAddr() }

// Header is the first value of a header field, empty if there is none. Names
// are case-insensitive.
func (r *Request) Header(name string) string {
	if values := r.HeaderValues(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// HeaderValues is all values of a header field, in order.
func (r *Request) HeaderValues(name string) []string {
	return r.exchange.HeaderValues(abi.HeaderRequest, name)
}

// HeaderNames is the names of all header fields, each once.
func (r *Request) HeaderNames() []string {
	return r.exchange.HeaderNames(abi.HeaderRequest)
}

// SetHeader sets a header field, in place of what it was, for whoever the request
// is passed on to: see [Response.Next].
func (r *Request) SetHeader(name, value string) {
	r.exchange.SetHeader(abi.HeaderRequest, name, value)
}

// RemoveHeader removes a header field, likewise.
func (r *Request) RemoveHeader(name string) {
	r.exchange.RemoveHeader(abi.HeaderRequest, name)
}

// Cookie is the value of the first cookie of that name. Quotes around the
// value are taken off.
func (r *Request) Cookie(name string) (value string, found bool) {
	for _, line := range r.HeaderValues("Cookie") {
		for pair := range strings.SplitSeq(line, ";") {
			n, v, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if n == name {
				return unquote(v), true
			}
		}
	}
	return "", false
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// Read reads the request's body, so that a Request is an io.Reader:
//
//	err := json.NewDecoder(r).Decode(&order)
//
// It does not limit the body's length; the server may.
func (r *Request) Read(p []byte) (int, error) {
	if r.ended {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, ended := r.exchange.ReadBody(p)
	r.ended = ended
	if n == 0 && ended {
		return 0, io.EOF
	}
	return n, nil
}

// Form is the fields of a posted form, which it reads from the body: those of
// the query are not in it. Further calls give the same result.
//
// # Errors
//
// ErrNotForm if the request's Content-Type is another one (file uploads come
// as multipart/form-data, which this package does not read), ErrFormTooLong
// if the body is longer than FormBytesMax, or the first pair that is not
// valid; the valid ones are then returned with it.
func (r *Request) Form() (url.Values, error) {
	if !r.formRead {
		r.formRead = true
		r.form, r.formErr = r.readForm()
	}
	return r.form, r.formErr
}

func (r *Request) readForm() (url.Values, error) {
	kind, _, _ := strings.Cut(r.Header("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") {
		return url.Values{}, ErrNotForm
	}
	body, err := io.ReadAll(io.LimitReader(r, FormBytesMax+1))
	if err != nil {
		return url.Values{}, fmt.Errorf("read form: %w", err)
	}
	if len(body) > FormBytesMax {
		return url.Values{}, ErrFormTooLong
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return values, fmt.Errorf("parse form: %w", err)
	}
	return values, nil
}
