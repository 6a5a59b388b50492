package prefork

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// connPair returns a child's connection and its client.
func connPair(t *testing.T) (*conn, *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	client, err := sys.FD(fds[1]).Polled()
	if err != nil {
		t.Fatal(err)
	}
	_ = sys.FD(fds[1]).Close()
	_ = client.SetDeadline(time.Now().Add(20 * time.Second)) // a test that hangs fails
	c := &conn{child: &Child{}}
	c.fd, c.remote = sys.FD(fds[0]), &net.UnixAddr{Net: "unix"}
	t.Cleanup(func() {
		_ = client.Close()
		c.retire()
		_ = c.fd.Close()
	})
	return c, client
}

// One goroutine reads and another one writes, and the first can be ended.
func TestADuplexConnectionIsReadWhileItIsWritten(t *testing.T) {
	c, client := connPair(t)
	if err := c.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := c.Duplex(true); err != nil {
		t.Fatal(err)
	}
	type result struct {
		n   int
		err error
	}
	reads := make(chan result)
	go func() {
		for {
			n, err := c.Read(make([]byte, 10))
			reads <- result{n, err}
			if err != nil {
				return
			}
		}
	}()
	for range 3 {
		if _, err := c.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(client, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Write([]byte("pong!")); err != nil {
			t.Fatal(err)
		}
		if got := <-reads; got != (result{5, nil}) {
			t.Fatalf("read while another goroutine writes: %+v", got)
		}
	}
	if err := c.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := <-reads; !errors.Is(got.err, os.ErrDeadlineExceeded) {
		t.Fatalf("a read that was ended: %+v", got)
	}
	if err := c.Duplex(false); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write([]byte("again")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 10)); n != 5 || err != nil {
		t.Errorf("read by one goroutine again: %d, %v", n, err)
	}
	if c.ended || c.broken.Load() {
		t.Errorf("the connection counts as ended %t, broken %t", c.ended, c.broken.Load())
	}
}

// The descriptor that the poller has must not keep the connection open.
func TestARetiredDuplexConnectionHasNoSecondDescriptor(t *testing.T) {
	c, client := connPair(t)
	if err := c.Duplex(true); err != nil {
		t.Fatal(err)
	}
	if c.retire() {
		t.Error("it was closed before")
	}
	_ = c.fd.Close()
	if n, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the client reads %d, %v: the connection is still open", n, err)
	}
	c.fd = sys.None
}
