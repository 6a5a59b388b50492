package web

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/internal/hosttest"
	"github.com/apphost/apphost/mpm"
)

func hex(n int) string     { return strconv.FormatInt(int64(n), 16) }
func decimal(n int) string { return strconv.Itoa(n) }

func TestStatesAreReported(t *testing.T) {
	f := mount(t, say("hi"))
	c := f.dial()
	for range 2 {
		c.send(get("/")).response("GET")
	}
	_ = c.Close()
	m := <-f.done
	want := []mpm.State{
		mpm.StateReading, mpm.StateWriting,
		mpm.StateKeepalive, mpm.StateWriting,
		mpm.StateKeepalive,
	}
	if !slices.Equal(m.states, want) {
		t.Errorf("got %v, want %v", m.states, want)
	}
}

func TestStoppingEndsKeepAlive(t *testing.T) {
	var f *fixture
	var m *modelConn
	for _, write := range [][]string{{"held"}, {"st", "ream"}} {
		f = mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
			if string(x.URI()) == "/stop" {
				m.stopping.Store(true)
			}
			for _, p := range write {
				_, _ = x.Write([]byte(p))
			}
			return nil
		}))
		c := f.dial()
		m = <-f.conns
		if r, _ := c.send(get("/")).response("GET"); r.Close {
			t.Error("closed before the stop")
		}
		if r, _ := c.send(get("/stop")).response("GET"); !r.Close {
			t.Errorf("no Connection: close in %v", r.Header)
		}
		if got := c.rest(); got != "" {
			t.Errorf("then %q", got)
		}
	}
}

func TestStoppingBetweenRequests(t *testing.T) {
	f := mount(t, say("hi"))
	c := f.dial()
	m := <-f.conns
	m.stopping.Store(true)
	// The request under way is answered, and its connection then ends.
	r, body := c.send(get("/")).response("GET")
	if body != "hi" || !r.Close || c.rest() != "" {
		t.Errorf("got %q, %v", body, r.Header)
	}
	<-f.done
}

func TestHTTP10(t *testing.T) {
	f := mount(t, say("hi"))
	c := f.dial()
	for range 2 {
		r, body := c.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").response("GET")
		if body != "hi" || r.Header.Get("Connection") != "keep-alive" {
			t.Errorf("got %q, %v", body, r.Header)
		}
	}
	if r, body := c.send("GET / HTTP/1.0\r\n\r\n").response("GET"); body != "hi" || !r.Close || c.rest() != "" {
		t.Errorf("got %q, %v", body, r.Header)
	}
}

func TestConnectionCloseIsHonoured(t *testing.T) {
	f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		if string(x.URI()) == "/close" {
			_ = x.Header(exchange.Response).Set([]byte("connection"), []byte("Close"))
		}
		_, err := x.Write([]byte("hi"))
		return err
	}))
	for _, raw := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: CLOSE, TE\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
		get("/close"),
	} {
		c := f.dial().send(raw)
		if r, body := c.response("GET"); body != "hi" || !r.Close || c.rest() != "" {
			t.Errorf("%q: got %q, %v", raw, body, r.Header)
		}
	}
}

// A client that has said that it sends nothing more is not waited for.
func TestTheModelLearnsThatAClientIsDone(t *testing.T) {
	f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		body := "hi"
		if string(x.URI()) == "/large" {
			body = strings.Repeat("x", partingBytesMax)
		}
		_, err := x.Write([]byte(body))
		return err
	}))
	for raw, want := range map[string]bool{
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":                        true,
		"GET / HTTP/1.0\r\n\r\n":                                                        true,
		get("/") + "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":             true,
		"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx": false,
		"GET / HTTP/1.1\r\nConnection: close\r\n\r\n":                                   false, // no Host
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: x\r\n\r\n":   false,
		"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":                   false, // it is not on its way yet
	} {
		c := f.dial().send(raw)
		c.rest()
		if m := <-f.done; m.peerDone.Load() != want {
			t.Errorf("%q: %v", raw, !want)
		}
	}
}

func TestTimeouts(t *testing.T) {
	const short, long = 50 * time.Millisecond, time.Minute
	read := handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		if _, err := io.Copy(io.Discard, x.Body()); err != nil {
			return err
		}
		_, err := x.Write([]byte("hi"))
		return err
	})
	for _, tc := range []struct {
		name, raw                 string
		start, header, body, idle time.Duration
		statuses                  string
	}{
		{"nothing comes", "", short, long, long, long, ""},
		{"slow header", "GET / HTTP/1.1\r\nHo", long, short, long, long, "408"},
		{"slow body start", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n", long, long, short, long, "408"},
		{"slow short body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc", long, long, short, long, "408"},
		{"slow body", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", long, long, short, long, "408"},
		{"slow chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc", long, long, short, long, "408"},
		{"slow trailer", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", long, long, short, long, "408"},
		{"idle", get("/"), long, long, long, short, "200"},
		{"slow header after idle", get("/") + "GET / HT", long, short, long, long, "200 408"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := serve(t, Config{FirstByteTimeout: tc.start, HeaderTimeout: tc.header, BodyTimeout: tc.body, IdleTimeout: tc.idle, Mounts: []Mount{{Path: "/", Handler: read}}})
			c := f.dial().send(tc.raw)
			var got []string
			for part := range strings.SplitSeq(c.rest(), "HTTP/1.1 ") {
				if len(part) > 3 {
					got = append(got, part[:3])
				}
			}
			if statuses := strings.Join(got, " "); statuses != tc.statuses {
				t.Errorf("got %q, want %q", statuses, tc.statuses)
			}
		})
	}
}

func TestClientThatDoesNotReadIsGivenUp(t *testing.T) {
	ended := make(chan error, 1)
	f := serve(t, Config{WriteTimeout: 50 * time.Millisecond, Mounts: []Mount{{Path: "/", Handler: handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		var err error
		for piece := make([]byte, 1<<20); err == nil; {
			_, err = x.Write(piece)
		}
		ended <- err
		return err
	})}}})
	f.dial().send(get("/"))
	if err := <-ended; !os.IsTimeout(unwrapAll(err)) {
		t.Errorf("got %v", err)
	}
	<-f.done
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok || os.IsTimeout(err) {
			return err
		}
		err = u.Unwrap()
	}
}

func TestOneDebugLineForAMalformedRequest(t *testing.T) {
	var log bytes.Buffer
	f := serve(t, Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), Mounts: []Mount{{Path: "/", Handler: say("hi")}}})
	for _, raw := range []string{"nonsense\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n"} {
		log.Reset()
		f.dial().send(raw).rest()
		<-f.done
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `level=DEBUG msg="request refused"`) {
			t.Errorf("%q: logged %q", raw, got)
		}
	}
	log.Reset()
	c := f.dial()
	c.send(get("/")).response("GET")
	_ = c.Close()
	<-f.done
	if log.Len() > 0 {
		t.Errorf("a good request: logged %q", log.String())
	}
}

// What a client does wrong is one line for whoever looks for it, and one in the
// access log.
func TestBadInputOfClientsHasOneLineInEachLog(t *testing.T) {
	const end = "\r\n\r\n"
	for _, tc := range []struct {
		name, raw string
		status    int
	}{
		{"slow header", "GET / HTTP/1.1\r\nHo", 408},
		{"slow body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10" + end + "abc", 408},
		{"huge header", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 1<<20) + end, 431},
		{"bad chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked" + end + "x\r\nabc\r\n0" + end, 400},
		{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4" + end + "abcd", 400},
		{"length and chunks", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked" + end + "0" + end, 400},
		{"obsolete folding", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b" + end, 400},
		{"absolute URI with a user", "GET http://u:p@a/ HTTP/1.1\r\nHost: b" + end, 400},
		{"NUL in a header", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b" + end, 400},
		{"URI of 1 MB", "GET /" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\nHost: a" + end, 431},
		{"large body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000" + end, 413},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log bytes.Buffer
			var access logFile
			f := serve(t, Config{
				HeaderTimeout: 50 * time.Millisecond, BodyTimeout: 50 * time.Millisecond, BodyBytesMax: 1000,
				Logger:    slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
				AccessLog: newAccessLog(t, "%>s", &access),
				Mounts:    []Mount{{Path: "/", Handler: echo(t)}},
			})
			c := f.dial()
			go func() { _, _ = io.WriteString(c, tc.raw) }() // it may be cut off
			<-f.done
			if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=DEBUG") {
				t.Errorf("logged %q", got)
			}
			if got, want := access.lines(), []string{decimal(tc.status) + "\n"}; !slices.Equal(got, want) {
				t.Errorf("the access log has %q, want %q", got, want)
			}
		})
	}
}

// A panic must reach the top of the child: see the package's promise about
// crashes in mpm.
func TestPanicIsNotCaught(t *testing.T) {
	for _, writes := range []int{0, 2} {
		s := New(Config{Mounts: []Mount{{Path: "/", Handler: handlerFunc(func(_ context.Context, x exchange.Exchange) error {
			for range writes {
				_, _ = x.Write([]byte("ab"))
			}
			panic("BUG: test")
		})}}})
		func() {
			defer func() {
				if recover() != "BUG: test" {
					t.Errorf("after %d writes: the panic was caught", writes)
				}
			}()
			s.ServeConn(t.Context(), &hosttest.Scripted{Piece: benchRequest, N: 1})
		}()
	}
}

func TestContextReachesTheHandler(t *testing.T) {
	f := mount(t, handlerFunc(func(ctx context.Context, x exchange.Exchange) error {
		if ctx != t.Context() {
			t.Error("another context")
		}
		return nil
	}))
	f.dial().send(get("/")).response("GET")
}
