package httpwasm

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/internal/hosttest"
	"github.com/apphost/apphost/host/web"
	"github.com/apphost/apphost/mpm"
)

// conformance is one case of the ABI's text: what the guests of a chain call, and
// what they and the client then see. testdata/conformance says how a script looks.
type conformance struct {
	name string
	// scripts are the calls of each link in handle_request. "===\n" ends those
	// of _initialize, before them; "---\n" begins those of handle_response.
	scripts []string
	request string           // raw; a GET of / if empty
	next    exchange.Handler // behind the last link; nil is none
	// log is what the guests logged: a call with its result, "LEVEL text" of one
	// at another level than info, or "failed: …" of the host. CLIENT is the
	// client's address.
	log     []string
	status  int // 200 if 0
	body    string
	header  http.Header // those that are named must be so; nil is absent
	trailer http.Header
	cut     bool // the response ends in the middle
}

// TestConformance holds this package to the published text of the ABI, over a
// real port, with a guest in C and one in Go.
func TestConformance(t *testing.T) {
	for _, language := range []struct {
		name  string
		build func(t *testing.T) []byte
	}{{"C", buildC}, {"Go", buildGo}} {
		t.Run(language.name, func(t *testing.T) {
			r, err := guest.NewRuntime(t.Context(), guest.Options{ABIs: []guest.ABI{ABI()}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = r.Close(context.Background()) })
			wasm := language.build(t)
			for _, f := range ABI().Funcs {
				if !bytes.Contains(wasm, []byte(f.Name)) {
					t.Errorf("the guest has no call of %s", f.Name)
				}
			}
			m, err := r.Load(t.Context(), guest.Source{Name: "guest", Wasm: wasm})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range slices.Concat(fieldCases(), bodyCases(), orderCases(), chainCases()) {
				t.Run(c.name, func(t *testing.T) { c.run(t, m) })
			}
		})
	}
}

func buildC(t *testing.T) []byte {
	for _, tool := range []string{"clang", "wasm-ld"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("cannot build a guest in C: %v", err)
		}
	}
	return built(t, func(to string) *exec.Cmd {
		return exec.CommandContext(t.Context(), "clang", "--target=wasm32", "-nostdlib", "-O2", "-Wall", "-Werror", "-I", "../../../sdk/c",
			"-Wl,--no-entry", "-o", to, "testdata/conformance/conformance.c")
	})
}

func buildGo(t *testing.T) []byte {
	if testing.Short() {
		t.Skip("building a guest in Go takes seconds")
	}
	return built(t, func(to string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", to, "./testdata/conformance")
		cmd.Env = append(cmd.Environ(), "GOOS=wasip1", "GOARCH=wasm")
		return cmd
	})
}

func built(t *testing.T, command func(to string) *exec.Cmd) []byte {
	path := filepath.Join(t.TempDir(), "guest.wasm")
	cmd := command(path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	wasm, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// link is a plugin with what is behind it.
type link struct {
	*Plugin
	next exchange.Handler
}

func (l link) Serve(ctx context.Context, x exchange.Exchange) error {
	return l.ServeWith(ctx, x, l.next)
}

func (c *conformance) run(t *testing.T, m *guest.Module) {
	lines := &lines{}
	handler := c.next
	for _, script := range slices.Backward(c.scripts) {
		if before, after, ok := strings.Cut(script, "===\n"); ok {
			script = before + "---\n" + after
		} else {
			script = "---\n" + script
		}
		p := New(m, Settings{ConfigJSON: []byte(script), Logger: slog.New(lines)})
		t.Cleanup(func() { _ = p.Close() })
		if handler == nil {
			handler = p
		} else {
			handler = link{p, handler}
		}
	}
	server := web.New(web.Config{Mounts: []web.Mount{{Path: "/", Name: "chain", Handler: handler}}})
	address := hosttest.Serve(t, func(ctx context.Context, conn mpm.Conn) { server.ServeConn(ctx, conn) })

	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_ = client.SetDeadline(time.Now().Add(20 * time.Second))
	request := c.request
	if request == "" {
		request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
	}
	if _, err := io.WriteString(client, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(bufio.NewReader(client), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%v; logged %q", err, lines.take(client))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if (err != nil) != c.cut {
		t.Errorf("read body: %v, want it cut off: %v", err, c.cut)
	}
	c.compare(t, response, string(body), lines.take(client))
}

func (c *conformance) compare(t *testing.T, response *http.Response, body string, logged []string) {
	if !slices.Equal(logged, c.log) {
		t.Errorf("logged\n\t%s\nwant\n\t%s", strings.Join(logged, "\n\t"), strings.Join(c.log, "\n\t"))
	}
	if want := max(c.status, 200); want != response.StatusCode || body != c.body {
		t.Errorf("answered %d %q, want %d %q", response.StatusCode, body, want, c.body)
	}
	for name, want := range c.header {
		if got := response.Header.Values(name); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if fmt.Sprint(response.Trailer) != fmt.Sprint(c.trailer) {
		t.Errorf("trailers %v, want %v", response.Trailer, c.trailer)
	}
}

// lines is a handler of log records that keeps what tests compare.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l *lines) WithGroup(string) slog.Handler                    { return l }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	attrs := map[string]string{}
	r.Attrs(func(a slog.Attr) bool { attrs[a.Key] = a.Value.String(); return true })
	text := attrs["text"]
	switch {
	case r.Message != "guest log":
		text = "failed: " + attrs["error"]
	case r.Level != slog.LevelInfo:
		text = r.Level.String() + " " + text
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, text)
	return nil
}

func (l *lines) take(client net.Conn) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Clone(l.all)
	for i := range all {
		all[i] = strings.ReplaceAll(all[i], client.LocalAddr().String(), "CLIENT")
	}
	return all
}
