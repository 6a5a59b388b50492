// Package echo tests the plugin of this folder, which is written in C.
package echo

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/cmd/apphosttest"
	"github.com/apphost/apphost/examples/internal/buildtest"
)

func TestMain(m *testing.M) { os.Exit(apphosttest.Main(m)) }

func TestCommittedPluginIsWhatTheSourceBuilds(t *testing.T) {
	buildtest.Clang(t, "echo", 1024)
}

func dial(t *testing.T, s *apphosttest.Server) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr("echo"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(apphosttest.Patience))
	return c.(*net.TCPConn)
}

func TestServed(t *testing.T) {
	s := buildtest.Serve(t, nil)
	t.Run("line by line", func(t *testing.T) { lineByLine(t, s) })
	t.Run("any size, and the end", func(t *testing.T) { anySize(t, s) })
	t.Run("clients that break off", func(t *testing.T) { breakOff(t, s) })
}

// A line comes back while the connection stays open.
func lineByLine(t *testing.T, s *apphosttest.Server) {
	c := dial(t, s)
	for n := range 20 {
		line := fmt.Appendf(nil, "line %d\n", n)
		c.Write(line)
		got := make([]byte, len(line))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, line) {
			t.Fatalf("got %q, %v, want %q", got, err, line)
		}
	}
}

// What was sent comes back whole after the client has closed its side, and
// then the connection ends. 32 KiB is what the plugin reads at once.
func anySize(t *testing.T, s *apphosttest.Server) {
	for _, size := range []int{0, 1, 1000, 32<<10 - 1, 32 << 10, 32<<10 + 1, 1 << 20, 8 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			sent := make([]byte, size)
			for i := range sent {
				sent[i] = byte(i * 7 / 5)
			}
			c := dial(t, s)
			written := make(chan error, 1)
			go func() {
				if _, err := c.Write(sent); err != nil {
					written <- err
					return
				}
				written <- c.CloseWrite()
			}()
			got, err := io.ReadAll(c)
			if err != nil || !bytes.Equal(got, sent) {
				t.Errorf("got %d bytes, %v; the same: %t", len(got), err, bytes.Equal(got, sent))
			}
			if err := <-written; err != nil {
				t.Errorf("write: %v", err)
			}
		})
	}
}

// A client that resets its connection is no fault, and the next one is served.
func breakOff(t *testing.T, s *apphosttest.Server) {
	for range 20 {
		c := dial(t, s)
		c.Write(make([]byte, 100<<10))
		if err := c.SetLinger(0); err != nil { // Close resets then
			t.Fatal(err)
		}
		c.Close()
	}
	lineByLine(t, s)
	s.Stop()
	for _, level := range []string{`"level":"WARN"`, `"level":"ERROR"`} {
		if log := s.Log(); strings.Contains(log, level) {
			t.Errorf("the log has %s:\n%s", level, log)
		}
	}
}
