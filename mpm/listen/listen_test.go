package listen

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
)

func listener(name, address string) mpm.Listener {
	return mpm.Listener{Name: name, Address: address, Backlog: 16}
}

func TestAReloadKeepsTheSocketAndItsQueue(t *testing.T) {
	var table Table
	first, err := table.Acquire([]mpm.Listener{listener("a", "127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	queued, err := net.Dial("tcp", first[0].Bound.String())
	if err != nil {
		t.Fatal(err)
	}
	defer queued.Close()

	second, err := table.Acquire([]mpm.Listener{listener("a", "127.0.0.1:0"), listener("b", "127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	table.Release(first)
	if second[0] != first[0] {
		t.Error("the kept address got a new socket")
	}
	if second[1] == second[0] {
		t.Error("two listeners with port 0 share a socket")
	}
	fd, peer, err := second[0].FD(0).Accept()
	if err != nil {
		t.Fatalf("the queued client is gone: %v", err)
	}
	defer fd.Close()
	if got := peer.String(); got != queued.LocalAddr().String() {
		t.Errorf("accepted %s, want %s", got, queued.LocalAddr())
	}

	table.Release(second)
	if _, err := net.Dial("tcp", first[0].Bound.String()); err == nil {
		t.Error("a socket without users still listens")
	}
}

func TestTheSameAddressInAnotherSpellingIsTheSameSocket(t *testing.T) {
	var table Table
	first, err := table.Acquire([]mpm.Listener{listener("a", "127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(first[0].Bound.String())
	named, err := table.Acquire([]mpm.Listener{listener("a", "[::ffff:127.0.0.1]:"+port)})
	if err == nil {
		t.Fatal("a port that was given by the kernel for :0 was taken again by number")
	}
	if named != nil {
		t.Error("a failed Acquire returned sockets")
	}
	table.Release(first)

	one, err := table.Acquire([]mpm.Listener{listener("a", "127.0.0.1:"+port)})
	if err != nil {
		t.Fatal(err)
	}
	two, err := table.Acquire([]mpm.Listener{listener("a", "[::ffff:127.0.0.1]:"+port)})
	if err != nil {
		t.Fatal(err)
	}
	if one[0] != two[0] {
		t.Error("two spellings made two sockets")
	}
	table.Release(one)
	table.Release(two)
}

func TestAcquireIsAllOrNothingAndNamesEveryFault(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var table Table
	_, err = table.Acquire([]mpm.Listener{
		listener("good", "127.0.0.1:0"),
		listener("taken", taken.Addr().String()),
		listener("bad", "localhost:80"),
	})
	if !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("error %v does not say that the address is in use", err)
	}
	for _, want := range []string{taken.Addr().String(), "another program or listener has it", "localhost:80"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name %q", err, want)
		}
	}
	if len(table.sockets) != 0 {
		t.Errorf("%d sockets are left after a failed Acquire", len(table.sockets))
	}
}

func TestResolve(t *testing.T) {
	for address, want := range map[string]string{
		":80": "[::]:80", "127.0.0.1:http": "127.0.0.1:80", "[::1]:80": "[::1]:80", "0.0.0.0:1": "0.0.0.0:1",
	} {
		if got, err := resolve(address); err != nil || got.String() != want {
			t.Errorf("resolve(%q) = %v, %v; want %s", address, got, err, want)
		}
	}
	for _, address := range []string{"", "80", "127.0.0.1:notaport", "127.0.0.1:70000"} {
		if got, err := resolve(address); err == nil {
			t.Errorf("resolve(%q) = %v, want an error", address, got)
		}
	}
}

// Every IPv6 address is every IPv4 address, too, unless told otherwise.
func TestEveryIPv4AddressBesideEveryIPv6Address(t *testing.T) {
	var table Table
	both, err := table.Acquire([]mpm.Listener{listener("six", "[::]:0")})
	if err != nil {
		t.Fatal(err)
	}
	bound := both[0].Bound.(*net.TCPAddr)
	if bound.IP.To4() != nil {
		t.Skip("there is no IPv6 here")
	}
	port := strconv.Itoa(bound.Port)
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Errorf("an IPv4 client at [::]: %v", err)
	} else {
		conn.Close()
	}
	_, err = table.Acquire([]mpm.Listener{listener("four", "0.0.0.0:"+port)})
	if !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), "0.0.0.0:"+port) {
		t.Errorf("0.0.0.0 beside [::]: %v, want that the address is in use", err)
	}
	table.Release(both)

	six := listener("six", "[::]:"+port)
	six.Socket.V6Only = true
	apart, err := table.Acquire([]mpm.Listener{six, listener("four", "0.0.0.0:"+port)})
	if err != nil {
		t.Fatalf("0.0.0.0 beside [::] with v6only: %v", err)
	}
	table.Release(apart)
}
