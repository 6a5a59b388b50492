package statuspage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/apphost/apphost/host/exchange"
)

// Settings say what a Handler shows and to whom.
type Settings struct {
	// Source returns a Report as JSON.
	Source func(ctx context.Context) ([]byte, error)
	// Allow are the addresses that may see it, AllowUnix says that clients of
	// Unix sockets may. Forwarded requests are refused: whom they come from
	// is for anyone to say.
	Allow     []netip.Prefix
	AllowUnix bool
	// Logger takes why there was no report.
	Logger *slog.Logger
}

// Handler answers requests for the status page. The query says in which form:
//
//   - auto: keys and values, a line each, those of httpd
//   - json: the Report as it is
//   - neither: a page, and with notable one without tables
//
// refresh=N lets a browser ask again every N seconds; what is no number from 1
// is 10.
type Handler struct {
	settings Settings
	page     *template.Template
}

var _ exchange.Handler = (*Handler)(nil)

// New makes a handler.
func New(s Settings) *Handler { return &Handler{s, newPage()} }

// Serve implements exchange.Handler.
func (h *Handler) Serve(ctx context.Context, x exchange.Exchange) error {
	if !h.allows(x) {
		return answer(x, 403, "403 Forbidden\nThis page is for the addresses in [status] allow.\n")
	}
	if m := string(x.Method()); m != "GET" && m != "HEAD" {
		return errors.Join(
			x.Header(exchange.Response).Set([]byte("Allow"), []byte("GET, HEAD")),
			answer(x, 405, "405 Method Not Allowed\n"))
	}
	raw, err := h.settings.Source(ctx)
	if err != nil {
		h.settings.Logger.WarnContext(ctx, "no status for the status page", "err", err)
		return answer(x, 503, "503 Service Unavailable\nThe server's status is not known at the moment.\n")
	}
	_, query, _ := strings.Cut(string(x.URI()), "?")
	options := parseOptions(query)
	if options.refresh > 0 {
		if err := x.Header(exchange.Response).Set([]byte("Refresh"), []byte(strconv.Itoa(options.refresh))); err != nil {
			return fmt.Errorf("set Refresh: %w", err)
		}
	}
	kind, body, err := h.render(raw, options)
	if err != nil {
		h.settings.Logger.ErrorContext(ctx, "cannot show the status page", "err", err)
		return err
	}
	return send(x, 200, kind, body)
}

// render makes the body that is asked for of a report.
func (h *Handler) render(raw []byte, o options) (kind string, body []byte, err error) {
	if o.json {
		var out bytes.Buffer
		if err := json.Indent(&out, raw, "", "  "); err != nil {
			return "", nil, fmt.Errorf("read the server's status: %w", err)
		}
		out.WriteByte('\n')
		return "application/json", out.Bytes(), nil
	}
	var r Report
	if err := json.Unmarshal(raw, &r); err != nil {
		return "", nil, fmt.Errorf("read the server's status: %w", err)
	}
	if o.auto {
		return "text/plain; charset=utf-8", r.auto(), nil
	}
	var out bytes.Buffer
	if err := h.page.Execute(&out, newView(&r, !o.noTable)); err != nil {
		return "", nil, fmt.Errorf("fill in the status page: %w", err)
	}
	return "text/html; charset=utf-8", out.Bytes(), nil
}

// allows reports whether a client may see the page.
func (h *Handler) allows(x exchange.Exchange) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "Via"} {
		forwarded := false
		x.Header(exchange.Request).Values([]byte(name), func([]byte) bool { forwarded = true; return false })
		if forwarded {
			return false
		}
	}
	remote := x.RemoteAddr()
	if strings.HasPrefix(remote, "@") || strings.HasPrefix(remote, "/") {
		return h.settings.AllowUnix
	}
	client, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	address := client.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(h.settings.Allow, func(p netip.Prefix) bool { return p.Contains(address) })
}

// options are what the query asks for.
type options struct {
	auto, json, noTable bool
	refresh             int // seconds; 0 is never
}

// refreshDefault is httpd's, too.
const refreshDefault = 10

func parseOptions(query string) options {
	values, _ := url.ParseQuery(query) // what is wrong in it is left out
	o := options{auto: values.Has("auto"), json: values.Has("json"), noTable: values.Has("notable")}
	if values.Has("refresh") {
		n, err := strconv.Atoi(values.Get("refresh"))
		if err != nil || n < 1 {
			n = refreshDefault
		}
		o.refresh = n
	}
	return o
}

func answer(x exchange.Exchange, status int, text string) error {
	return send(x, status, "text/plain; charset=utf-8", []byte(text))
}

func send(x exchange.Exchange, status int, kind string, body []byte) error {
	errs := []error{x.SetStatus(status)}
	for _, field := range [][2]string{
		{"Content-Type", kind},
		{"Cache-Control", "no-store"},
		{"X-Content-Type-Options", "nosniff"},
		{"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"},
	} {
		errs = append(errs, x.Header(exchange.Response).Set([]byte(field[0]), []byte(field[1])))
	}
	_, err := x.Write(body)
	return errors.Join(append(errs, err)...)
}
