package listen

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/apphost/apphost/mpm"
)

// socketPath is a path that is short enough for a socket.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ah-") //nolint:usetesting // T.TempDir's path is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func unixListener(path string, mode fs.FileMode) mpm.Listener {
	return mpm.Listener{Name: "u", Address: mpm.UnixPrefix + path, Backlog: 16, Mode: mode}
}

func acquire(t *testing.T, table *Table, listeners ...mpm.Listener) []*Socket {
	t.Helper()
	sockets, err := table.Acquire(listeners)
	if err != nil {
		t.Fatal(err)
	}
	return sockets
}

func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|want {
		t.Errorf("%s: %v, %v; want a socket of mode %s", path, info, err, want)
	}
}

func wantGone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", path, err)
	}
}

func TestAUnixSocketIsMadeKeptChangedAndRemoved(t *testing.T) {
	path := socketPath(t)
	var table Table
	first := acquire(t, &table, unixListener(path, 0o666))
	wantMode(t, path, 0o666) // whatever the umask
	if got := first[0].Bound; got.Network() != "unix" || got.String() != path {
		t.Errorf("bound to %s %s", got.Network(), got)
	}
	queued, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer queued.Close()

	changed := []mpm.Listener{unixListener(path, 0o600)}
	second := acquire(t, &table, changed...)
	wantMode(t, path, 0o666) // until it serves
	if err := table.Apply(second, changed); err != nil {
		t.Fatal(err)
	}
	wantMode(t, path, 0o600)
	table.Release(first)
	if second[0] != first[0] {
		t.Error("the kept path got a new socket")
	}
	fd, peer, err := second[0].FD(0).Accept()
	if err != nil {
		t.Fatalf("the queued client is gone: %v", err)
	}
	defer fd.Close()
	if peer.Network() != "unix" || peer.String() != "@" {
		t.Errorf("the peer is %s %q", peer.Network(), peer)
	}
	table.Release(second)
	wantGone(t, path)
}

// staleSocket leaves the file of a socket that nobody listens on.
func staleSocket(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
}

func TestOnlyAStaleSocketIsReplaced(t *testing.T) {
	path := socketPath(t)
	staleSocket(t, path)
	var table Table
	table.Release(acquire(t, &table, unixListener(path, 0o600)))
	wantGone(t, path)

	for name, tc := range map[string]struct {
		make func(t *testing.T)
		want string
	}{
		"answered": {func(t *testing.T) {
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
		}, "another program or listener has it"},
		"datagrams": {func(t *testing.T) {
			c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
		}, "another program or listener has it"},
		"file": {func(t *testing.T) {
			if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "no socket"},
		"link": {func(t *testing.T) {
			if err := os.Symlink("nowhere", path); err != nil {
				t.Fatal(err)
			}
		}, "no socket"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.make(t)
			t.Cleanup(func() { _ = os.Remove(path) })
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := table.Acquire([]mpm.Listener{unixListener(path, 0o600)}); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("what was there is not any more: %v", err)
			}
		})
	}
	if _, err := table.Acquire([]mpm.Listener{unixListener(path+"/missing/s", 0o600)}); !errors.Is(err, syscall.ENOENT) || !strings.Contains(err.Error(), "folder") {
		t.Errorf("in a missing folder: %v", err)
	}
}

// Somebody has put another socket at our path: it is theirs.
func TestAnothersSocketIsNotRemoved(t *testing.T) {
	path := socketPath(t)
	var table Table
	sockets := acquire(t, &table, unixListener(path, 0o600))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := table.Acquire([]mpm.Listener{unixListener(path, 0o600)}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("another's socket was taken: %v", err)
	}
	table.Release(sockets)
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("the other's socket is gone: %v", err)
	} else {
		_ = c.Close()
	}
}

// A socket whose file was removed cannot be reached; the next generation gets
// one that can, and keeps it when the old one goes.
func TestALostFileIsMadeAnew(t *testing.T) {
	path := socketPath(t)
	var table Table
	first := acquire(t, &table, unixListener(path, 0o600))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second := acquire(t, &table, unixListener(path, 0o600))
	if first[0] == second[0] {
		t.Error("a socket that nobody can reach was kept")
	}
	table.Release(first)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	table.Release(second)
	wantGone(t, path)
}

// A failed Acquire leaves no file behind.
func TestAFailedAcquireRemovesItsFiles(t *testing.T) {
	path := socketPath(t)
	var table Table
	if _, err := table.Acquire([]mpm.Listener{unixListener(path, 0o600), listener("bad", "localhost:80")}); err == nil {
		t.Fatal("an address that is not resolved was taken")
	}
	wantGone(t, path)
}
