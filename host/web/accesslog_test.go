package web

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apphost/apphost/host/accesslog"
	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/internal/hosttest"
)

// logFile keeps what was written to it, one write each.
type logFile struct {
	mu     sync.Mutex
	writes []string
}

func (f *logFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes = append(f.writes, string(p))
	return len(p), nil
}

func (f *logFile) lines() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.writes)
}

func newAccessLog(t testing.TB, format string, to io.Writer) *accesslog.Log {
	t.Helper()
	l, err := accesslog.New(accesslog.Config{Format: format, To: to, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestPasswordsInReferersAreNotLogged(t *testing.T) {
	var file logFile
	config := Config{AccessLog: newAccessLog(t, `"%r" "%{Referer}i"`, &file)}
	exchangeAll(t, New(config), "GET /a?to=//v:secret@i HTTP/1.1\r\nHost: h\r\nReferer: http://u:secret@h/?to=//v:secret@i\r\nConnection: close\r\n\r\n")
	want := []string{`"GET /a?to=//v:XXXXXXXX@i HTTP/1.1" "http://u:XXXXXXXX@h/?to=//v:XXXXXXXX@i"` + "\n"}
	if got := file.lines(); !slices.Equal(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
}

// Each request has one line, in one write, whatever becomes of it.
func TestEachRequestHasALine(t *testing.T) {
	streamed := handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		x.SetMethod([]byte("CHANGED"))
		x.SetURI([]byte("/changed"))
		_ = x.Header(exchange.Request).Set([]byte("User-Agent"), []byte("changed"))
		for range 3 {
			if _, err := x.Write([]byte("piece")); err != nil {
				return err
			}
		}
		return nil
	})
	for _, tc := range []struct {
		name, sent string
		want       []string
	}{
		{"one", "GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", []string{`"GET /hello HTTP/1.1" 200 5 /hello -`}},
		{
			"several at once",
			get("/hello") + "GET /stream HTTP/1.1\r\nHost: h\r\nUser-Agent: a\"b\r\n\r\n" + "HEAD /hello HTTP/1.1\r\nHost: h\r\n\r\n" + "GET /none?a=//u:secret@h HTTP/1.0\r\n\r\n",
			[]string{
				`"GET /hello HTTP/1.1" 200 5 /hello -`, `"GET /stream HTTP/1.1" 200 15 /stream a\"b`, `"HEAD /hello HTTP/1.1" 200 - /hello -`,
				`"GET /none?a=//u:XXXXXXXX@h HTTP/1.0" 404 14 - -`,
			},
		},
		{"bytes", "GET /\"\xff HTTP/1.1\r\nHost: h\r\n\r\n", []string{`"GET /\"\xff HTTP/1.1" 404 14 - -`}},
		{"refused", "GET /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", []string{`"GET /hello HTTP/1.1" 400 16 - -`}},
		{"not read", "nonsense\r\n\r\n", []string{`"-" 400 16 - -`}},
		{"breaks off", get("/hello") + "GET /hel", []string{`"GET /hello HTTP/1.1" 200 5 /hello -`, `"-" 400 16 - -`}},
		{"none", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var file logFile
			config := Config{AccessLog: newAccessLog(t, `"%r" %>s %b %{route}x %{User-Agent}i`, &file), Mounts: []Mount{
				{Path: "/hello", Name: "hello", Handler: say("hello")},
				{Path: "/stream", Name: "stream", Handler: streamed},
			}}
			exchangeAll(t, New(config), tc.sent)
			var want []string
			for _, line := range tc.want {
				want = append(want, line+"\n")
			}
			if got := file.lines(); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// The log has exactly the bytes that were sent, and says when they were too few.
func TestALineHasTheBytesThatWereSent(t *testing.T) {
	var file logFile
	s := New(Config{AccessLog: newAccessLog(t, accesslog.JSON, &file), Mounts: []Mount{
		{Path: "/long", Handler: say(strings.Repeat("x", 3*outBytes))},
		{Path: "/cut", Handler: handlerFunc(func(_ context.Context, x exchange.Exchange) error {
			for range 2 {
				if _, err := x.Write([]byte("half")); err != nil {
					return err
				}
			}
			return io.ErrUnexpectedEOF
		})},
	}})
	_, received := exchangeAll(t, s, get("/long")+get("/long")+get("/cut"))
	total, aborted := 0, 0
	for _, line := range file.lines() {
		var fields struct {
			Sent    int  `json:"sent_bytes"`
			Aborted bool `json:"aborted"`
		}
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		total += fields.Sent
		if fields.Aborted {
			aborted++
		}
	}
	if total != received || aborted != 1 {
		t.Errorf("%d bytes are logged, %d arrived; %d are aborted", total, received, aborted)
	}
}

// A line is written when its response is on its way, and not when the next
// request comes.
func TestALineIsNotHeldBack(t *testing.T) {
	lines := make(chan string, 10)
	f := serve(t, Config{
		AccessLog: newAccessLog(t, accesslog.Common, writerFunc(func(p []byte) { lines <- string(p) })),
		Mounts:    []Mount{{Path: "/", Handler: say("hi")}},
	})
	c := f.dial()
	for range 3 {
		c.send(get("/")).response("GET")
		select {
		case line := <-lines:
			if !strings.HasPrefix(line, "127.0.0.1 - - [") {
				t.Errorf("got %q", line)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("no line")
		}
	}
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

func TestLoggingAllocatesNothing(t *testing.T) {
	for _, format := range []string{accesslog.Combined, accesslog.JSON} {
		s := helloServer("hello, world\n")
		s.config.AccessLog = newAccessLog(t, format, io.Discard)
		s.requestIDHeader = []byte("X-Request-Id")
		const requests = 10_000
		perConnection := testing.AllocsPerRun(5, func() {
			s.ServeConn(t.Context(), &hosttest.Scripted{Piece: benchRequest, N: requests})
		})
		if perRequest := perConnection / requests; perRequest > 0.1 {
			t.Errorf("%s: %.2f allocations per request", format, perRequest)
		}
	}
}

// BenchmarkAccessLog is BenchmarkRequest with a line for each request.
func BenchmarkAccessLog(b *testing.B) {
	for _, format := range []string{accesslog.Combined, accesslog.JSON} {
		b.Run(format, func(b *testing.B) {
			s := helloServer("hello, world\n")
			s.config.AccessLog = newAccessLog(b, format, io.Discard)
			b.ReportAllocs()
			s.ServeConn(b.Context(), &hosttest.Scripted{Piece: benchRequest, N: b.N})
		})
	}
}

func TestRequestIDs(t *testing.T) {
	var seen [][]byte
	handler := handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		seen = seen[:0]
		x.Header(exchange.Request).Values([]byte("x-request-id"), func(v []byte) bool {
			seen = append(seen, bytes.Clone(v))
			return true
		})
		return nil
	})
	for _, tc := range []struct {
		name, header string
		trusted      bool
		sent, want   string
	}{
		{"none", "", false, "", ""},
		{"the client's is left alone", "", false, "X-Request-Id: a b\r\n", "a b"},
		{"ours", "X-Request-ID", false, "", "p-1-1"},
		{"ours in place of the client's", "X-Request-ID", false, "X-Request-Id: abc\r\nx-request-id: def\r\n", "p-1-1"},
		{"the client's", "X-Request-ID", true, "X-Request-Id: abc\r\nx-request-id: def\r\n", "abc"},
		{"not one that is not sound", "X-Request-ID", true, "X-Request-Id: a b\r\n", "p-1-1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var file logFile
			s := New(Config{
				RequestIDHeader: tc.header, TrustRequestID: tc.trusted, AccessLog: newAccessLog(t, "%L", &file),
				Mounts: []Mount{{Path: "/", Handler: handler}},
			})
			trace := accesslog.NewTrace("p", 1)
			ctx := trace.With(t.Context())
			request := "GET / HTTP/1.1\r\nHost: h\r\n" + tc.sent + "\r\n"
			s.ServeConn(ctx, &hosttest.Scripted{Piece: request, N: 1})
			if got := string(bytes.Join(seen, []byte("|"))); got != tc.want {
				t.Errorf("the handler sees %q, want %q", got, tc.want)
			}
			want := tc.want
			if tc.header == "" {
				want = "p-1-1"
			}
			if got := file.lines(); len(got) != 1 || got[0] != want+"\n" {
				t.Errorf("the log says %q", got)
			}
		})
	}
}

// A proxy drops what Connection names: a client must not have it drop the id.
func TestARequestIDIsPassedOn(t *testing.T) {
	var named []byte
	handler := handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		x.Header(exchange.Request).Values([]byte("connection"), func(v []byte) bool {
			named = bytes.Clone(v)
			return true
		})
		return nil
	})
	s := New(Config{RequestIDHeader: "X-Request-ID", Mounts: []Mount{{Path: "/", Handler: handler}}})
	request := "GET / HTTP/1.1\r\nHost: h\r\nConnection: x-request-id, x-other\r\n\r\n"
	s.ServeConn(t.Context(), &hosttest.Scripted{Piece: request, N: 1})
	if string(named) != "x-other" {
		t.Errorf("Connection names %q", named)
	}
}

func TestRequestsPerConnection(t *testing.T) {
	f := serve(t, Config{RequestsPerConnection: 3, Mounts: []Mount{{Path: "/", Handler: say("hi")}}})
	c := f.dial()
	for i := range 3 {
		if r, _ := c.send(get("/")).response("GET"); r.Close != (i == 2) {
			t.Errorf("response %d: %v", i, r.Header)
		}
	}
	if got := c.rest(); got != "" {
		t.Errorf("then %q", got)
	}
}
