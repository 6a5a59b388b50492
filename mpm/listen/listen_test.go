package listen

import (
	"errors"
	"net"
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
