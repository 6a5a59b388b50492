package listen

import (
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// managers is a socket as a service manager holds it, and its address.
func managers(t *testing.T, network, address string) (sys.FD, string) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return sys.FD(f.Fd()), l.Addr().String()
}

func TestPassedSocketsAreFoundByAddressThenName(t *testing.T) {
	path := socketPath(t)
	one, oneAddr := managers(t, "tcp", "127.0.0.1:0")
	two, _ := managers(t, "tcp", "127.0.0.1:0")
	three, _ := managers(t, "unix", path)
	var table Table
	if err := table.takeOver([]sys.FD{one, two, three}, []string{"web", "web", "u"}); err != nil {
		t.Fatal(err)
	}
	listeners := []mpm.Listener{
		unixListener(path, 0o600),
		listener("web", "127.0.0.1:0"), // by name: the one that no address has
		listener("other", oneAddr),
	}
	for range 2 { // as a reload
		sockets := acquire(t, &table, listeners...)
		for i, want := range []sys.FD{three, two, one} {
			if got := sockets[i].FD(0); got != want {
				t.Errorf("listener %d has descriptor %d, want %d", i, got, want)
			}
		}
		if err := table.Apply(sockets, listeners); err != nil {
			t.Fatal(err)
		}
		table.Release(sockets)
	}
	if flags, err := unix.FcntlInt(uintptr(one), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("a passed socket blocks: flags %#x, %v", flags, err)
	}
	for network, address := range map[string]string{"tcp": oneAddr, "unix": path} {
		c, err := net.Dial(network, address)
		if err != nil {
			t.Errorf("a passed socket was closed or removed: %v", err)
			continue
		}
		_ = c.Close()
	}
}

func TestPassedSocketsAndListenersAreOneToOne(t *testing.T) {
	fd, addr := managers(t, "tcp", "127.0.0.1:0")
	var table Table
	if err := table.takeOver([]sys.FD{fd}, []string{"apphost.socket"}); err != nil {
		t.Fatal(err)
	}
	for name, listeners := range map[string][]mpm.Listener{
		"another address": {listener("web", "127.0.0.1:1")},
		"one too many":    {listener("first", addr), listener("web", "127.0.0.1:1")},
		"another kind":    {unixListener("/nowhere/web", 0o600)},
		"a free port":     {listener("web", "127.0.0.1:0")},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := table.Acquire(listeners)
			if err == nil {
				t.Fatal("it was taken")
			}
			want := []string{"has no socket", listeners[len(listeners)-1].Address}
			if len(listeners) == 1 {
				want = append(want, "apphost.socket", addr, "has no listener")
			}
			for _, w := range want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
		})
	}
}

func TestOnlyListeningSocketsAreTakenOver(t *testing.T) {
	r, w, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	var table Table
	if err := table.takeOver([]sys.FD{r}, nil); err == nil || !strings.Contains(err.Error(), "no socket that listens") {
		t.Errorf("a pipe was taken over: %v", err)
	}
	for _, environment := range [][]string{
		nil,
		{"LISTEN_FDS=1"},
		{"LISTEN_FDS=1", "LISTEN_PID=1"}, // meant for another
		{"LISTEN_FDS=", "LISTEN_PID=7"},
		{"LISTEN_FDS=0", "LISTEN_PID=7"},
	} {
		if err := table.Inherit(environment, 7); err != nil || len(table.sockets) > 0 {
			t.Errorf("%q: %v, %d sockets", environment, err, len(table.sockets))
		}
	}
	for _, n := range []string{"x", "-1", "1000000"} {
		if err := table.Inherit([]string{"LISTEN_PID=7", "LISTEN_FDS=" + n}, 7); err == nil {
			t.Errorf("LISTEN_FDS=%s was taken", n)
		}
	}
}
