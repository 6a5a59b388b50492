package web

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/internal/hosttest"
)

func TestPasswordsAreHidden(t *testing.T) {
	for _, tc := range []struct{ method, target, want string }{
		{"GET", "/a@b", "/a@b"},
		{"GET", "/?mail=a:b@c", "/?mail=a:b@c"},
		{"GET", "http://user:secret@host/", "http://user:XXXXXXXX@host/"},
		{"GET", "http://user:se@cr:et@host:80/x", "http://user:XXXXXXXX@host:80/x"},
		{"GET", "http://:secret@host", "http://:XXXXXXXX@host"},
		{"GET", "http://user@host/", "http://user@host/"},
		{"GET", "/go?to=https://u:secret@h/p&and=ftp://v:secret@i", "/go?to=https://u:XXXXXXXX@h/p&and=ftp://v:XXXXXXXX@i"},
		{"GET", "//u:secret@h//v:secret@i", "//u:XXXXXXXX@h//v:XXXXXXXX@i"},
		{"GET", "http://h:80/?q=a@b", "http://h:80/?q=a@b"},
		{"CONNECT", "u:secret@host:443", "u:XXXXXXXX@host:443"},
		{"GET", "", ""},
		{"GET", "@", "@"},
		{"GET", "//:@", "//:XXXXXXXX@"},
		{"GET", "/?to=http%3A%2F%2Fu%3Asecret%40h", "/?to=http%3A%2F%2Fu%3AXXXXXXXX%40h"},
		{"GET", "/?to=http%3a%2f%2fu%3ase%40cret%40h%2fp&a=b:c%40d", "/?to=http%3a%2f%2fu%3aXXXXXXXX%40h%2fp&a=b:c%40d"},
		{"GET", "/?to=http%3A//u%3Asecret%40h/&x=//v:se%2Fcret@i", "/?to=http%3A//u%3AXXXXXXXX%40h/&x=//v:XXXXXXXX@i"},
		{"GET", "/?to=http%3A%2F%2Fh%3A80%2F%3Fmail%3Da%40b", "/?to=http%3A%2F%2Fh%3A80%2F%3Fmail%3Da%40b"},
		{"GET", "/a%2F%2Fb%40c%", "/a%2F%2Fb%40c%"},
	} {
		target := []byte(tc.target)
		if got := string(withoutPasswords(new([]byte), []byte(tc.method), target)); got != tc.want {
			t.Errorf("%s %s: %s, want %s", tc.method, tc.target, got, tc.want)
		}
		if string(target) != tc.target {
			t.Errorf("%s was changed to %s", tc.target, target)
		}
	}
}

func FuzzWithoutPasswords(f *testing.F) {
	f.Add("GET", "http://user:secret@host/?x=//a:b@c")
	f.Add("GET", "/?x=%2F%2fa%3Ab%40c%2F%2F/d:e@f")
	f.Fuzz(func(t *testing.T, method, target string) {
		once := string(withoutPasswords(new([]byte), []byte(method), []byte(target)))
		if twice := string(withoutPasswords(new([]byte), []byte(method), []byte(once))); twice != once {
			t.Errorf("%q becomes %q and then %q", target, once, twice)
		}
	})
}

// recorded is what a model is told, one line each.
type recorded struct {
	*hosttest.Conn
	mu    sync.Mutex
	lines []string
}

func (r *recorded) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *recorded) BeginRequest(method, target, protocol []byte) {
	r.note("begin %s %s %s", method, target, protocol)
}

func (r *recorded) EndRequest(bytesSent int64) { r.note("end %d", bytesSent) }

// Each request is counted once, with exactly the bytes of its response, however
// the requests arrive and however the connection ends.
func TestEachRequestIsCountedOnce(t *testing.T) {
	streamed := handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		for range 3 {
			if _, err := x.Write([]byte("piece")); err != nil {
				return err
			}
		}
		return nil
	})
	config := Config{Mounts: []Mount{
		{Path: "/hello", Name: "hello", Handler: say("hello")},
		{Path: "/stream", Name: "stream", Handler: streamed},
		{Path: "/long", Name: "long", Handler: say(strings.Repeat("x", 3*outBytes))},
	}}
	for _, tc := range []struct {
		name, sent string
		begin      []string
	}{
		{"one", "GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", []string{"GET /hello HTTP/1.1"}},
		{
			"several at once",
			get("/hello") + get("/stream") + get("/long") + "GET /none?a=//u:secret@h HTTP/1.0\r\n\r\n",
			[]string{"GET /hello HTTP/1.1", "GET /stream HTTP/1.1", "GET /long HTTP/1.1", "GET /none?a=//u:XXXXXXXX@h HTTP/1.0"},
		},
		{"refused", "GET /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", []string{"GET /hello HTTP/1.1"}},
		{"not read", "nonsense\r\n\r\n", nil},
		{"none", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lines, received := exchangeAll(t, New(config), tc.sent)
			var begun []string
			counted := 0
			for i, line := range lines {
				if text, ok := strings.CutPrefix(line, "begin "); ok {
					begun = append(begun, text)
					continue
				}
				if i%2 == 0 {
					t.Errorf("an end without a beginning: %q", lines)
				}
				n := 0
				if _, err := fmt.Sscanf(line, "end %d", &n); err != nil || n == 0 {
					t.Errorf("%q: %v", line, err)
				}
				counted += n
			}
			if !slices.Equal(begun, tc.begin) || len(lines) != 2*len(begun) {
				t.Errorf("recorded %q, want each of %q begun and ended", lines, tc.begin)
			}
			if len(begun) > 0 && counted != received {
				t.Errorf("%d bytes are counted, %d arrived", counted, received)
			}
		})
	}
}

// exchangeAll sends text on a connection of its own, and returns what the model
// was told and how many bytes came back.
func exchangeAll(t *testing.T, s *Server, text string) (lines []string, received int) {
	t.Helper()
	server, client := hosttest.Pair(t, "web")
	r := &recorded{Conn: server}
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.ServeConn(t.Context(), r)
		_ = server.Close()
	}()
	go func() {
		_, _ = io.WriteString(client, text)
		_ = client.CloseWrite()
	}()
	n, err := io.Copy(io.Discard, client)
	if err != nil {
		t.Fatal(err)
	}
	<-served
	return r.lines, int(n)
}
