package sys

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
)

// What waits in the queue stays and can be served; who comes later never has
// a connection, and so has none to lose.
func TestRefuseNewKeepsTheQueue(t *testing.T) {
	l, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), 16, mpm.SocketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr, err := l.LocalAddr()
	if err != nil {
		t.Fatal(err)
	}
	const clients = 5
	var conns []net.Conn
	for range clients {
		conn, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		conns = append(conns, conn)
	}
	if waiting, err := l.Waiting(); !waiting || err != nil {
		t.Fatalf("waiting: %v, %v", waiting, err)
	}
	if err := l.RefuseNew(); err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialTimeout("tcp", addr.String(), 100*time.Millisecond)
	if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("a connection after the end: %v, %v", conn, err)
	}
	for range clients {
		fd, _, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fd.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		_ = fd.Close()
	}
	if waiting, err := l.Waiting(); waiting || err != nil {
		t.Errorf("waiting after all were accepted: %v, %v", waiting, err)
	}
	_ = l.Shutdown()
	for i, conn := range conns {
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if n, err := conn.Read(make([]byte, 2)); n != 1 || err != nil {
			t.Errorf("client %d reads %d bytes, %v", i, n, err)
		}
	}
}

// The reason for RefuseNew: shutdown, even of the reading side only, resets
// whoever waits.
func TestShutdownOfAListenerResetsItsQueue(t *testing.T) {
	l, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), 16, mpm.SocketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr, err := l.LocalAddr()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if err := l.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("the client reads %d bytes; RefuseNew and its callers could be simpler", n)
	}
}
