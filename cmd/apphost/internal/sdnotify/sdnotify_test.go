package sdnotify

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// manager is a service manager's socket.
func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	return c
}

func receive(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestMessages(t *testing.T) {
	dir, err := os.MkdirTemp("", "ah-") //nolint:usetesting // T.TempDir's path is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, name := range []string{filepath.Join(dir, "notify"), fmt.Sprintf("@apphost-test-%d", os.Getpid())} {
		c := manager(t, name)
		n := New(name)
		for _, tc := range []struct {
			err  error
			want string
		}{
			{n.Reloading(1500 * time.Millisecond), "RELOADING=1\nMONOTONIC_USEC=1500000\nSTATUS=reloading\n"},
			{n.Ready("two\nlines"), "READY=1\nSTATUS=two lines\n"},
			{n.Stopping(time.Second), "STOPPING=1\nEXTEND_TIMEOUT_USEC=1000000\nSTATUS=stopping\n"},
			{n.Ready(strings.Repeat("é", 400)), "READY=1\nSTATUS=" + strings.Repeat("é", 250) + "…\n"},
		} {
			if tc.err != nil {
				t.Fatalf("%s: %v", name, tc.err)
			}
			if got := receive(t, c); got != tc.want {
				t.Errorf("%s: got %q, want %q", name, got, tc.want)
			}
		}
	}
}

func TestWithoutAManager(t *testing.T) {
	if err := New("").Ready("x"); err != nil {
		t.Errorf("nobody to tell: %v", err)
	}
	if err := New("/nowhere/notify").Ready("x"); err == nil {
		t.Error("a manager that is not there heard it")
	}
}

// A manager that does not read holds nobody up for long.
func TestAFullSocketIsAnError(t *testing.T) {
	name := fmt.Sprintf("@apphost-test-full-%d", os.Getpid())
	manager(t, name)
	n := New(name)
	for range 10_000 {
		if n.Ready("x") != nil {
			return
		}
	}
	t.Error("a socket that nobody reads takes everything")
}
