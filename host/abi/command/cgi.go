package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/internal/urlpath"
)

// At is the program as the answer to the requests below a path, or at it.
func (p *Plugin) At(path string) exchange.Handler { return &script{p, path} }

// script is a program that is mounted somewhere.
type script struct {
	plugin *Plugin
	path   string
}

// errExit is why a response is not sent or cut off.
var errExit = errors.New("the program ended with an error")

// Serve runs the program for x.
func (h *script) Serve(ctx context.Context, x exchange.Exchange) error {
	in := &requestBody{source: x.Body()}
	out := &response{x: x, input: in}
	s := &session{
		Context: ctx, Guard: h.plugin.guard(guest.WatchOf(ctx), h.plugin.requestLimits), plugin: h.plugin, log: guest.ConnectionLogger(ctx, h.plugin.set.Logger),
		environ: h.environment(x).with(h.plugin.set.Environ), args: arguments(x, h.plugin.set.Args), stdin: in, stdout: out,
	}
	if b, ok := x.(exchange.Bounded); ok {
		s.exchange = b
		defer b.Bound(b.Bound(s.Until()))
	}
	code, err := s.run()
	if guest.IsOvertime(err) {
		guest.LogFailure(ctx, s.log, "guest failed", err)
		return fmt.Errorf("%w: %w", exchange.ErrTimeout, err)
	}
	switch {
	case errors.Is(out.writeErr, exchange.ErrLength):
		return notOne(s, out.writeErr)
	case out.writeErr != nil:
		s.log.DebugContext(ctx, "client went away", "error", out.writeErr)
		return out.writeErr
	case in.err != nil && !ours(err):
		return in.err // what the program made of a part is no answer, and no failure
	case err != nil:
		guest.LogFailure(ctx, s.log, "guest failed", err)
		if in.err == nil {
			s.Module().NoteCrash(err)
		}
		return err
	case code != 0:
		s.log.WarnContext(ctx, "program ended with an error", "exit_code", code)
		return errExit
	}
	if err := out.end(); err != nil {
		return notOne(s, err)
	}
	return nil
}

// notOne logs what is wrong with a program's response, and returns it.
func notOne(s *session, err error) error {
	s.log.ErrorContext(s.Context, "program's response is not one", "error", err)
	return err
}

// ours reports whether a run failed through a fault of the server.
func ours(err error) bool {
	f, ok := errors.AsType[*guest.Failure](err)
	return err != nil && (!ok || f.Kind == guest.HostFault)
}

// requestBody is a program's standard input. It remembers why it broke off: few
// programs look.
type requestBody struct {
	source io.Reader
	err    error
	ended  bool // io.EOF or err: it stays so
}

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.source.Read(p)
	if err != nil && err != io.EOF {
		b.err = fmt.Errorf("read request body: %w", err)
	}
	b.ended = err != nil
	return n, err
}

// Ended implements guest.Ending.
func (b *requestBody) Ended() bool { return b.ended }

// What arguments are replaced by those of the request, in the words of WAGI.
const (
	scriptName = "${SCRIPT_NAME}" // the path
	queryArgs  = "${ARGS}"        // the parts of the query, each an argument
)

// arguments are those that the program was given, or else the path and the parts
// of the query, as WAGI has them.
func arguments(x exchange.Exchange, given []string) []string {
	if len(given) == 0 {
		given = []string{scriptName, queryArgs}
	}
	path, query, _ := strings.Cut(strings.ReplaceAll(string(x.URI()), "\x00", ""), "?")
	replace := strings.NewReplacer(scriptName, path, queryArgs, strings.ReplaceAll(query, "&", "\x00"))
	var args []string
	for _, arg := range given {
		if arg == queryArgs && query == "" {
			continue // as many as the query has
		}
		args = append(args, strings.Split(replace.Replace(arg), "\x00")...)
	}
	return args
}

// environment are the meta-variables of RFC 3875, section 4.1, and those of
// WAGI. A variable without a value is there and empty, as in WAGI, but for
// CONTENT_LENGTH, which says that there is a body of that length.
func (h *script) environment(x exchange.Exchange) environment {
	var env environment
	uri := string(x.URI())
	rawPath, query, _ := strings.Cut(uri, "?")
	var buf []byte
	path := string(urlpath.Clean(&buf, []byte(rawPath)))
	script := strings.TrimSuffix(h.path, "/")
	info, below := strings.CutPrefix(path, script)
	if !below { // a plugin before this one has changed the path
		script, info = "", path
	}
	rawInfo, ok := strings.CutPrefix(rawPath, script)
	if !ok {
		rawInfo = (&url.URL{Path: info}).EscapedPath()
	}
	host, port := hostAndPort(x)
	client, _, err := net.SplitHostPort(x.RemoteAddr())
	if err != nil {
		client = "" // a Unix socket
	}
	matched := h.path
	if strings.HasSuffix(matched, "/") {
		matched += "..."
	}
	for _, v := range [][2]string{
		{"GATEWAY_INTERFACE", "CGI/1.1"},
		{"SERVER_SOFTWARE", "apphost"},
		{"SERVER_PROTOCOL", x.Protocol()},
		{"SERVER_NAME", host},
		{"SERVER_PORT", port},
		{"REQUEST_METHOD", string(x.Method())},
		{"REQUEST_URI", uri},
		{"SCRIPT_NAME", script},
		{"PATH_INFO", info},
		{"PATH_TRANSLATED", info},
		{"QUERY_STRING", query},
		{"REMOTE_ADDR", client},
		{"REMOTE_HOST", client},
		{"REMOTE_USER", ""},
		{"AUTH_TYPE", ""},
		{"CONTENT_TYPE", headerValue(x, "Content-Type")},
		{"X_FULL_URL", "http://" + net.JoinHostPort(host, port) + uri},
		{"X_MATCHED_ROUTE", matched},
		{"X_RAW_PATH_INFO", rawInfo},
	} {
		env.set(v[0], v[1])
	}
	if length := headerValue(x, "Content-Length"); length != "" {
		env.set("CONTENT_LENGTH", length)
	}
	headerVariables(x, &env)
	return env
}

// headerVariables adds HTTP_NAME for the fields of the header that are not told
// otherwise or kept back (RFC 3875, section 4.1.18). Several fields of a name
// are one list.
func headerVariables(x exchange.Exchange, env *environment) {
	header := x.Header(exchange.Request)
	header.Names(func(name []byte) bool {
		if keptBack(name) {
			return true
		}
		var values []string
		header.Values(name, func(v []byte) bool {
			values = append(values, string(v))
			return true
		})
		separator := ", "
		if strings.EqualFold(string(name), "Cookie") {
			separator = "; "
		}
		variable := "HTTP_" + strings.ToUpper(strings.ReplaceAll(string(name), "-", "_"))
		env.set(variable, strings.Join(values, separator))
		return true
	})
}

// keptBack reports whether a field is not for a program. One with an underscore
// would pass for the one with a dash.
func keptBack(name []byte) bool {
	if bytes.IndexByte(name, '_') >= 0 || bytes.IndexByte(name, '=') >= 0 {
		return true
	}
	switch strings.ToLower(string(name)) {
	case "authorization", "proxy-authorization", "proxy", "connection", "keep-alive", "te", "trailer",
		"transfer-encoding", "upgrade", "content-type", "content-length":
		return true
	}
	return false
}

// hostAndPort is what the client asked for, or else our end of the connection.
func hostAndPort(x exchange.Exchange) (host, port string) {
	localHost, localPort, err := net.SplitHostPort(x.LocalAddr())
	if err != nil {
		localHost, localPort = "localhost", "80"
	}
	asked := headerValue(x, "Host")
	if asked == "" {
		return localHost, localPort
	}
	if host, port, err := net.SplitHostPort(asked); err == nil && port != "" {
		return host, port
	}
	return strings.Trim(strings.TrimSuffix(asked, ":"), "[]"), localPort
}

func headerValue(x exchange.Exchange, name string) string {
	value := ""
	x.Header(exchange.Request).Values([]byte(name), func(v []byte) bool {
		value = string(v)
		return false
	})
	return value
}
