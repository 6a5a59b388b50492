package command_test

//go:generate sh -c "for f in testdata/*.wat; do wat2wasm ${DOLLAR}f -o ${DOLLAR}{f%.wat}.wasm; done"

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/host/abi/command"
	"github.com/apphost/apphost/host/accesslog"
	"github.com/apphost/apphost/host/internal/hosttest"
	"github.com/apphost/apphost/host/web"
	"github.com/apphost/apphost/mpm"
)

// lines are those of an access log.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func (l lines) log(t *testing.T) *accesslog.Log {
	t.Helper()
	log, err := accesslog.New(accesslog.Config{Format: "%>s", To: l})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// next is the line of the request that was made last.
func (l lines) next(t *testing.T) string {
	t.Helper()
	select {
	case line := <-l:
		return strings.TrimSpace(line)
	case <-time.After(20 * time.Second):
		t.Fatal("the access log has no line")
		return ""
	}
}

// Whatever a program makes of the part of a body that it got, and however it
// writes that, the client hears what was wrong with the body.
func TestWhatIsMadeOfABrokenBodyIsNotSent(t *testing.T) {
	access := make(lines, 1)
	address, log := siteOf(t, web.Config{BodyBytesMax: 100, BodyTimeout: 100 * time.Millisecond, AccessLog: access.log(t)})
	const chunked = "Transfer-Encoding: chunked\r\n\r\n"
	for _, test := range []struct {
		name, request string
		halfClose     bool
		status        int
	}{
		{"stalls", "Content-Length: 10\r\n\r\nabcde", false, 408},
		{"bad chunk", chunked + "2\r\nab\r\nz\r\n", false, 400},
		{"too large", chunked + "65\r\n" + strings.Repeat("a", 0x65) + "\r\n0\r\n\r\n", false, 413},
		{"ends", "Content-Length: 10\r\n\r\nabcde", true, 400},
		{"ends in a chunk", chunked + "5\r\nab", true, 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			fmt.Fprint(c, "POST /p/?pieces HTTP/1.1\r\nHost: h\r\n"+test.request)
			if test.halfClose {
				_ = c.(*net.TCPConn).CloseWrite()
			}
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("%d %s\n", test.status, http.StatusText(test.status))
			if body, err := io.ReadAll(res.Body); res.StatusCode != test.status || string(body) != want || err != nil {
				t.Errorf("got %d %q, %v; want %d", res.StatusCode, body, err, test.status)
			}
			if line := access.next(t); line != fmt.Sprint(test.status) {
				t.Errorf("the access log has %s", line)
			}
			if got := log.Take(); got != "" {
				t.Errorf("the program went on, or is blamed: %s", got)
			}
		})
	}
}

// A program that does not look at the errors of its writes ends as by SIGPIPE.
func TestAProgramEndsWithItsClient(t *testing.T) {
	const want = "level=DEBUG msg=\"client went away\""
	leave := func(t *testing.T, address, request string) {
		t.Helper()
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, request)
		if _, err := io.ReadFull(c, make([]byte, 1<<10)); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	t.Run("http", func(t *testing.T) {
		access := make(lines, 1)
		address, log := siteOf(t, web.Config{AccessLog: access.log(t)})
		leave(t, address, "GET /p/?forever HTTP/1.1\r\nHost: h\r\n\r\n")
		if line := access.next(t); line != "200" {
			t.Errorf("the access log has %s", line)
		}
		if got := log.Take(); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("logged %s", got)
		}
	})
	t.Run("tcp", func(t *testing.T) {
		p, log := program(t)
		done := make(chan struct{})
		address := hosttest.Serve(t, func(ctx context.Context, c mpm.Conn) {
			p.ServeConn(ctx, c, command.Timeouts{}, name("c1"))
			close(done)
		})
		leave(t, address, "forever\n")
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatal("it runs on")
		}
		if got := log.Take(); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("logged %s", got)
		}
	})
}

// What a program makes of a body that breaks off is the client's doing, also if it
// traps: the log has no error of it.
func TestABrokenBodyIsNoFailureOfTheProgram(t *testing.T) {
	wasm, err := os.ReadFile("testdata/traps.wasm")
	if err != nil {
		t.Fatal(err)
	}
	p, log := load(t, wasm)
	address := hosttest.Serve(t, web.New(web.Config{Mounts: []web.Mount{{Path: "/", Handler: p.At("/")}}}).ServeConn)
	const chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, test := range []struct {
		request string
		status  int
	}{{chunked + "1\r\na\r\n0\r\n\r\n", 200}, {chunked + "x\r\n", 400}} {
		if res, _, _ := ask(t, address, test.request); res.StatusCode != test.status {
			t.Errorf("%q: status %d, want %d", test.request, res.StatusCode, test.status)
		}
		if got := log.Take(); got != "" {
			t.Errorf("%q: logged %s", test.request, got)
		}
	}
}

// A program whose instance takes longer to make than its turn may, reads its body in
// the whole of its turn all the same.
func TestABodyIsReadInTheTurnOfTheProgram(t *testing.T) {
	wasm, err := os.ReadFile("testdata/slow_init.wasm")
	if err != nil {
		t.Fatal(err)
	}
	const timeout = 500 * time.Millisecond // half of what _initialize takes
	p, log := loadWith(t, wasm, command.Settings{Entrypoint: "run", RequestTimeout: timeout})
	address := hosttest.Serve(t, web.New(web.Config{Mounts: []web.Mount{{Path: "/", Handler: p.At("/")}}}).ServeConn)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
	in := bufio.NewReader(c)
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("asked for the body with %q, %v", line, err)
	}
	if _, err := in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "x")
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); res.StatusCode != 200 || string(body) != "x\n" || err != nil {
		t.Errorf("status %d, body %q, %v; logged %s", res.StatusCode, body, err, log.Take())
	}
}
