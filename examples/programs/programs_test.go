package programs_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/cmd/apphosttest"
	"github.com/apphost/apphost/examples/internal/buildtest"
)

func TestMain(m *testing.M) { os.Exit(apphosttest.Main(m)) }

const wasi = "wasi_snapshot_preview1" // all that the programs may import

// The same programs serve connections and requests.
func TestServed(t *testing.T) {
	s := buildtest.Serve(t, map[string]string{
		"count": buildtest.WASIClang(t, "count", 64<<10), "sorted": buildtest.Go(t, "sorted", wasi, 3500<<10),
	})
	t.Run("README", func(t *testing.T) { buildtest.Try(t, s) })
	for _, test := range []struct{ program, in, out string }{
		{"count", "", "0 lines, 0 words, 0 bytes\n"},
		{"count", "one\ntwo three\n", "2 lines, 3 words, 14 bytes\n"},
		{"count", strings.Repeat("word ", 100_000), "0 lines, 100000 words, 500000 bytes\n"},
		{"sorted", "pear\napple\nfig", "apple\nfig\npear\n"},
		{"sorted", strings.Repeat("b\na\n", 50_000), strings.Repeat("a\n", 50_000) + strings.Repeat("b\n", 50_000)},
	} {
		if got, want := connect(t, s.Addr(test.program), test.in), "Content-Type: text/plain\n\n"+test.out; got != want {
			t.Errorf("%s on a connection: %.80q, want %.80q", test.program, got, want)
		}
		res, err := http.Post("http://"+s.Addr("web")+"/"+test.program, "text/plain", strings.NewReader(test.in))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != 200 || string(body) != test.out || res.Header.Get("Content-Type") != "text/plain" {
			t.Errorf("%s for a request: %d %.80q, %v, want %.80q", test.program, res.StatusCode, body, err, test.out)
		}
	}
}

// connect sends all of in, and returns what comes back until the end.
func connect(t *testing.T, address, in string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(apphosttest.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, in); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
