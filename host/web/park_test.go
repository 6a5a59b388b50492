package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/host/accesslog"
	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/internal/hosttest"
	"github.com/apphost/apphost/mpm"
)

// parked is where a played connection is parked.
const parked = "(parked)"

// played is a connection whose peer sends a piece for each read, and which is parked
// where the script says so. Then the script ends it, with an error if there is one.
type played struct {
	hosttest.Scripted
	t      *testing.T
	script []string
	err    error // at its end; nil is io.EOF

	state    mpm.State
	deadline time.Time // of reads
	kept     any
	parks    bool
	begun    int
	counted  int64 // bytes
	reads    []time.Duration
	out      bytes.Buffer
}

func (c *played) Keep(value any)                       { c.kept = value }
func (c *played) Kept() any                            { return c.kept }
func (c *played) SetState(s mpm.State)                 { c.state = s }
func (c *played) SetReadDeadline(when time.Time) error { c.deadline = when; return nil }
func (c *played) Write(p []byte) (int, error)          { return c.out.Write(p) }
func (c *played) BeginRequest(_, _, _ []byte)          { c.begun++ }
func (c *played) EndRequest(bytesSent int64)           { c.counted += bytesSent }

func (c *played) Read(p []byte) (int, error) {
	c.reads = append(c.reads, time.Until(c.deadline).Round(time.Minute))
	switch {
	case len(c.script) == 0 && c.err != nil:
		return 0, c.err
	case len(c.script) == 0:
		return 0, io.EOF
	case c.script[0] == parked:
		if c.state != mpm.StateKeepalive {
			c.t.Errorf("to be parked in state %v", c.state)
		}
		c.script, c.parks = c.script[1:], true
		return 0, mpm.ErrParked
	}
	n := copy(p, c.script[0])
	if c.script[0] = c.script[0][n:]; c.script[0] == "" {
		c.script = c.script[1:]
	}
	return n, nil
}

// play serves the connection to its end as a model does, with a context of its own
// for each call, and returns the bodies of the responses.
func (c *played) play(s *Server) (bodies []string, last *http.Response) {
	c.t.Helper()
	for again := true; again; again = c.parks {
		c.parks = false
		t := accesslog.NewTrace("p", c.ID())
		s.ServeConn(t.With(context.Background()), c)
		if c.parks && len(c.script) == 0 && c.err == nil {
			break // the peer has closed, and nobody is called
		}
	}
	received := int64(c.out.Len())
	if c.counted != received {
		c.t.Errorf("%d bytes are counted, %d were sent", c.counted, received)
	}
	for r := bufio.NewReader(&c.out); ; {
		if _, err := r.Peek(1); err == io.EOF {
			return bodies, last
		}
		var err error
		if last, err = http.ReadResponse(r, nil); err != nil {
			c.t.Fatal(err)
		}
		body, err := io.ReadAll(last.Body)
		if err != nil {
			c.t.Fatal(err)
		}
		bodies = append(bodies, string(body))
	}
}

// echoing answers with the request's target, its body, and its id.
var echoing = handlerFunc(func(_ context.Context, x exchange.Exchange) error {
	body, err := io.ReadAll(x.Body())
	if err != nil {
		return err
	}
	answer := string(x.URI()) + " " + string(body)
	x.Header(exchange.Request).Values([]byte("X-Request-Id"), func(id []byte) bool {
		answer += " " + string(id)
		return true
	})
	_, err = x.Write([]byte(answer))
	return err
})

func TestAParkedConnectionGoesOn(t *testing.T) {
	post := "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n"
	large := "GET /a HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 3*earlyBytes) + "\r\n\r\n"
	for _, tc := range []struct {
		name   string
		script []string
		bodies []string
	}{
		{"between two requests", []string{get("/a"), parked, get("/b")}, []string{"/a  p-1-1", "/b  p-1-2"}},
		{"again and again", []string{get("/a"), parked, get("/b"), parked, get("/c"), get("/d"), parked}, []string{"/a  p-1-1", "/b  p-1-2", "/c  p-1-3", "/d  p-1-4"}},
		{"for nothing", []string{get("/a"), parked, parked, parked, get("/b")}, []string{"/a  p-1-1", "/b  p-1-2"}},
		{"and its request comes in pieces", []string{get("/a"), parked, "G", "ET /b HTTP/1.1\r\nHo", "st: h\r\n", "\r\n"}, []string{"/a  p-1-1", "/b  p-1-2"}},
		{"and its request is larger than what is read first", []string{get("/a"), parked, large, get("/b")}, []string{"/a  p-1-1", "/a  p-1-2", "/b  p-1-3"}},
		{"and its request has a body", []string{get("/a"), parked, post, "xyz", parked, post + "uvw" + get("/c")}, []string{"/a  p-1-1", "/b xyz p-1-2", "/b uvw p-1-3", "/c  p-1-4"}},
		{"and the peer closes", []string{get("/a"), parked, parked}, []string{"/a  p-1-1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			logger, log := hosttest.Logger()
			var file logFile
			config := Config{
				Mounts: []Mount{{Path: "/", Name: "echo", Handler: echoing}}, RequestIDHeader: "X-Request-Id", Logger: logger,
				AccessLog: newAccessLog(t, "%r", &file),
			}
			c := &played{t: t, script: tc.script}
			bodies, last := c.play(New(config))
			if !slices.Equal(bodies, tc.bodies) || last.Close {
				t.Errorf("answered %q, close %v; want %q", bodies, last.Close, tc.bodies)
			}
			if n := len(file.lines()); n != len(bodies) || c.begun != n {
				t.Errorf("%d lines in the access log, %d requests begun, want %d: %q", n, c.begun, len(bodies), file.lines())
			}
			if text := log.Take(); text != "" {
				t.Errorf("logged %s", text)
			}
		})
	}
}

// What ends the wait for a next request ends it without a word, parked or not.
func TestAParkedConnectionEnds(t *testing.T) {
	for name, end := range map[string]error{
		"at its deadline":    &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded},
		"by the peer":        nil,
		"by a reset":         errors.New("connection reset by peer"),
		"by the child's end": io.EOF,
	} {
		logger, log := hosttest.Logger()
		c := &played{t: t, script: []string{get("/a"), parked, parked}, err: end}
		bodies, _ := c.play(New(Config{Mounts: []Mount{{Path: "/", Handler: say("hi")}}, Logger: logger}))
		if text := log.Take(); len(bodies) != 1 || text != "" {
			t.Errorf("%s: %d responses to one request, logged %q", name, len(bodies), text)
		}
	}
}

// The limit is for the life of the connection.
func TestRequestsAreCountedOverParking(t *testing.T) {
	script := []string{get("/1"), parked, get("/2"), parked, get("/3"), parked, get("/4")}
	c := &played{t: t, script: script}
	bodies, last := c.play(New(Config{Mounts: []Mount{{Path: "/", Handler: say("hi")}}, RequestsPerConnection: 3}))
	if len(bodies) != 3 || !last.Close {
		t.Errorf("%d responses, the last one closes: %v; want 3, true", len(bodies), last.Close)
	}
}

// The next request has the time of a next request, and then that of its header.
func TestAParkedConnectionsTimeouts(t *testing.T) {
	config := Config{
		Mounts: []Mount{{Path: "/", Handler: say("hi")}}, Logger: slog.New(slog.DiscardHandler),
		FirstByteTimeout: 10 * time.Minute, HeaderTimeout: 20 * time.Minute, IdleTimeout: 40 * time.Minute,
	}
	c := &played{t: t, script: []string{get("/1"), parked, "GET", " /2 HTTP/1.1\r\nHost: h\r\n\r\n", parked}}
	c.play(New(config))
	want := []time.Duration{10 * time.Minute, 40 * time.Minute, 40 * time.Minute, 20 * time.Minute, 40 * time.Minute}
	if !slices.Equal(c.reads, want) {
		t.Errorf("reads wait for %v, want %v", c.reads, want)
	}
}

// What a peer was sent before counts for whether it may be left at once.
func TestWhatWasSentIsCountedOverParking(t *testing.T) {
	s := New(Config{Mounts: []Mount{{Path: "/", Handler: say(strings.Repeat("x", partingBytesMax))}}})
	c := &played{t: t, script: []string{get("/1"), parked, get("/2"), parked}}
	c.play(s)
	if of, ok := c.kept.(*lasting); !ok || of.requests != 2 || of.written < 2*partingBytesMax {
		t.Errorf("kept: %+v", c.kept)
	}
}
