package sys

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
)

// group makes n sockets on one address of which the first live get clients.
func group(t *testing.T, address string, n, live int, o mpm.SocketOptions) (fds []FD, addr string) {
	t.Helper()
	first, err := Listen(netip.MustParseAddrPort(address), 512, o)
	if err != nil {
		t.Skipf("this machine has no %s: %v", address, err)
	}
	t.Cleanup(func() { _ = first.Close() })
	bound, err := first.LocalAddr()
	if err != nil {
		t.Fatal(err)
	}
	fds = append(fds, first)
	if err := errors.Join(first.Steer(live), first.Share()); err != nil {
		t.Fatal(err)
	}
	for range n - 1 {
		fd, err := Join(bound.(*net.TCPAddr).AddrPort(), 512, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = fd.Close() })
		fds = append(fds, fd)
	}
	return fds, bound.String()
}

func dialAll(t *testing.T, n int, addr string) []net.Conn {
	t.Helper()
	var conns []net.Conn
	for range n {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		conns = append(conns, conn)
	}
	return conns
}

// acceptAll empties a queue, says x to each client and returns their number.
func acceptAll(t *testing.T, fd FD) int {
	t.Helper()
	for n := 0; ; n++ {
		conn, _, err := fd.Accept()
		if errors.Is(err, unix.EAGAIN) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		_ = conn.Close()
	}
}

// Clients go where they are steered, from before the group has two sockets;
// what waits elsewhere stays, and nobody is reset when a socket that was
// emptied closes.
func TestClientsGoWhereTheyAreSteered(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::]:0"} {
		const clients = 60
		fds, addr := group(t, address, 3, 1, mpm.SocketOptions{})
		early := dialAll(t, clients, addr)
		if err := fds[0].Steer(3); err != nil {
			t.Fatal(err)
		}
		spread := dialAll(t, clients, addr)
		if err := fds[0].Steer(2); err != nil {
			t.Fatal(err)
		}
		queued := acceptAll(t, fds[2])
		if queued < clients/10 || queued > clients*2/3 {
			t.Errorf("%s: the last of three sockets has %d of %d clients", address, queued, clients)
		}
		late := dialAll(t, clients, addr)
		if n := acceptAll(t, fds[2]); n > 0 {
			t.Errorf("%s: %d clients went to a socket that has no more", address, n)
		}
		_ = fds[2].Shutdown()
		second := acceptAll(t, fds[1])
		if first := acceptAll(t, fds[0]); first+second+queued != 3*clients || first < clients+queued/2 || second < queued {
			t.Errorf("%s: the sockets had %d, %d and %d clients", address, first, second, queued)
		}
		for _, conns := range [][]net.Conn{early, spread, late} {
			for _, conn := range conns {
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				if _, err := conn.Read(make([]byte, 1)); err != nil {
					t.Errorf("%s: a client was lost: %v", address, err)
				}
			}
		}
	}
}

// A handshake that is under way when clients are steered away completes where
// it began. TCP_DEFER_ACCEPT keeps these under way until the client sends.
func TestAHandshakeEndsWhereItBegan(t *testing.T) {
	const clients = 40
	fds, addr := group(t, "127.0.0.1:0", 2, 2, mpm.SocketOptions{DeferAccept: 30 * time.Second})
	conns := dialAll(t, clients, addr)
	if err := fds[0].Steer(1); err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if waiting, err := fd.Waiting(); waiting || err != nil {
			t.Fatalf("a handshake is over before the client has sent: %v, %v", waiting, err)
		}
	}
	for _, conn := range conns {
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	first, second := acceptAll(t, fds[0]), acceptAll(t, fds[1])
	if first+second != clients || second == 0 {
		t.Errorf("of %d clients %d were on the first socket and %d on the second", clients, first, second)
	}
}

// Two servers never share an address without knowing, even if the second would
// and is the same user's; and two that share do not either: the second begins
// without.
func TestNobodyJoinsUnasked(t *testing.T) {
	alone, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), 16, mpm.SocketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	bound, err := alone.LocalAddr()
	if err != nil {
		t.Fatal(err)
	}
	addr := bound.(*net.TCPAddr).AddrPort()
	if fd, err := Join(addr, 16, mpm.SocketOptions{}); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a socket joins one that does not share: %d, %v", fd, err)
	}
	_, shared := group(t, "127.0.0.1:0", 3, 3, mpm.SocketOptions{})
	if fd, err := Listen(netip.MustParseAddrPort(shared), 16, mpm.SocketOptions{}); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a second server gets the address of a group: %d, %v", fd, err)
	}
}

// The reason for Steer: closing a socket of a group resets who waits on it.
// (With net.ipv4.tcp_migrate_req=1 it does not.)
func TestClosingASocketOfAGroupResetsItsQueue(t *testing.T) {
	fds, addr := group(t, "127.0.0.1:0", 2, 2, mpm.SocketOptions{})
	conns := dialAll(t, 40, addr)
	if waiting, err := fds[1].Waiting(); !waiting || err != nil {
		t.Fatalf("waiting: %v, %v", waiting, err)
	}
	if err := fds[1].Shutdown(); err != nil {
		t.Fatal(err)
	}
	served := acceptAll(t, fds[0])
	if migrates(t) {
		t.Skip("net.ipv4.tcp_migrate_req is on")
	}
	if served == len(conns) {
		t.Error("nobody was lost; Steer and its callers could be simpler")
	}
}

func migrates(t *testing.T) bool {
	t.Helper()
	on, err := os.ReadFile("/proc/sys/net/ipv4/tcp_migrate_req")
	return err == nil && strings.TrimSpace(string(on)) != "0"
}
