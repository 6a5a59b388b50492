package listen

import (
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

func getOption(t *testing.T, fd sys.FD, level, name int) int {
	t.Helper()
	v, err := unix.GetsockoptInt(int(fd), level, name)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func withOptions(address string, o mpm.SocketOptions) mpm.Listener {
	return mpm.Listener{Name: "o", Address: address, Backlog: 16, Socket: o}
}

// accepted is the server's end of a new connection.
func accepted(t *testing.T, s *Socket) sys.FD {
	t.Helper()
	c, err := net.Dial("tcp", s.Bound.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Write([]byte("x")); err != nil { // for a deferred accept
		t.Fatal(err)
	}
	if wake, err := sys.WaitSocket(s.FD(0), sys.Readable, time.Now().Add(20*time.Second)); err != nil || wake != sys.WakeSocket {
		t.Fatalf("wait for a connection: %v, %v", wake, err)
	}
	fd, _, err := s.FD(0).Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fd.Close() })
	return fd
}

func wantOptions(t *testing.T, s *Socket, want mpm.SocketOptions) {
	t.Helper()
	fd := accepted(t, s)
	if got := getOption(t, fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE) == 1; got != want.KeepAlive {
		t.Errorf("keepalive of a connection is %t", got)
	}
	if got := getOption(t, fd, unix.IPPROTO_TCP, unix.TCP_NODELAY) == 1; got != want.NoDelay {
		t.Errorf("nodelay of a connection is %t", got)
	}
	if got := getOption(t, s.FD(0), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT) > 0; got != (want.DeferAccept > 0) {
		t.Errorf("defer_accept of the listener is on: %t", got)
	}
	if want.SendBuffer > 0 { // the kernel keeps as much again for itself
		if got := getOption(t, fd, unix.SOL_SOCKET, unix.SO_SNDBUF); got != 2*want.SendBuffer {
			t.Errorf("send buffer of a connection is %d", got)
		}
	}
	if want.ReceiveBuffer > 0 {
		if got := getOption(t, fd, unix.SOL_SOCKET, unix.SO_RCVBUF); got != 2*want.ReceiveBuffer {
			t.Errorf("receive buffer of a connection is %d", got)
		}
	}
}

func TestOptionsAreSetAtFirstAndOnASocketThatStays(t *testing.T) {
	var table Table
	one := mpm.SocketOptions{KeepAlive: true, NoDelay: true}
	two := mpm.SocketOptions{DeferAccept: 3 * time.Second, SendBuffer: 32 << 10, ReceiveBuffer: 64 << 10}
	first := acquire(t, &table, withOptions("127.0.0.1:0", one))
	wantOptions(t, first[0], one)

	changed := []mpm.Listener{withOptions("127.0.0.1:0", two)}
	second := acquire(t, &table, changed...)
	wantOptions(t, first[0], one) // until it serves
	if err := table.Apply(second, changed); err != nil {
		t.Fatal(err)
	}
	wantOptions(t, second[0], two)

	_, err := table.Acquire([]mpm.Listener{withOptions("127.0.0.1:0", one)})
	if err == nil || !strings.Contains(err.Error(), "send_buffer") || !strings.Contains(err.Error(), "receive_buffer") {
		t.Errorf("buffers went back to the system's sizes: %v", err)
	}
	wantOptions(t, second[0], two)
	table.Release(first)
	table.Release(second)

	fresh := acquire(t, &table, withOptions("127.0.0.1:0", two))
	wantOptions(t, fresh[0], two)
	table.Release(fresh)
}

func TestAnAddressMayBeOnlyIPv6s(t *testing.T) {
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skipf("this machine has no IPv6: %v", err)
	} else {
		_ = l.Close()
	}
	var table Table
	six := withOptions("[::]:0", mpm.SocketOptions{V6Only: true})
	sockets := acquire(t, &table, six)
	defer table.Release(sockets)
	_, port, _ := net.SplitHostPort(sockets[0].Bound.String())
	four, err := net.Listen("tcp4", "0.0.0.0:"+port)
	if err != nil {
		t.Errorf("IPv4 is taken too: %v", err)
	} else {
		_ = four.Close()
	}
	six.Socket.V6Only = false
	if _, err := table.Acquire([]mpm.Listener{six}); err == nil || !strings.Contains(err.Error(), "v6only") {
		t.Errorf("v6only changed on a socket that stays: %v", err)
	}
	host := withOptions("127.0.0.1:80", mpm.SocketOptions{V6Only: true})
	if err := Resolve(&host); err == nil || !strings.Contains(err.Error(), "v6only") {
		t.Errorf("v6only with an IPv4 address: %v", err)
	}
}

func TestAnAddressMayBeTakenThatNobodyHas(t *testing.T) {
	var table Table
	if _, err := table.Acquire([]mpm.Listener{withOptions("192.0.2.1:0", mpm.SocketOptions{})}); err == nil {
		t.Error("it was taken without freebind")
	}
	table.Release(acquire(t, &table, withOptions("192.0.2.1:0", mpm.SocketOptions{FreeBind: true})))
	if l, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		_ = l.Close()
		table.Release(acquire(t, &table, withOptions("[2001:db8::1]:0", mpm.SocketOptions{FreeBind: true})))
	}
}
