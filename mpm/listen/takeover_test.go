package listen

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// A table that travelled is the one it was: the same sockets for the same
// listeners, whoever waits on them, and the right to remove a socket's file.
func TestATableSurvivesItsJourney(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	listeners := []mpm.Listener{
		listener("tcp", "127.0.0.1:0"),
		{Name: "unix", Address: mpm.UnixPrefix + path, Backlog: 16, Mode: 0o600},
		listener("gone", "127.0.0.1:0"),
	}
	var before Table
	socks, err := before.Acquire(listeners)
	if err != nil {
		t.Fatal(err)
	}
	queued, err := net.Dial("tcp", socks[0].Bound.String())
	if err != nil {
		t.Fatal(err)
	}
	defer queued.Close()
	places := before.Index(socks[:2])
	raw, err := json.Marshal(before.Export())
	if err != nil {
		t.Fatal(err)
	}

	var h Handed
	if err := json.Unmarshal(raw, &h); err != nil {
		t.Fatal(err)
	}
	var after Table
	if err := after.Import(h); err != nil {
		t.Fatal(err)
	}
	kept, err := after.Retain(places)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := after.Retain([]int{3}); err == nil {
		t.Error("a socket that is not there was retained")
	}
	again, err := after.Acquire(listeners[:2])
	if err != nil || again[0] != kept[0] || again[1] != kept[1] {
		t.Fatalf("the listeners got %v, %v; want %v", again, err, kept)
	}
	after.Release(kept) // and with it the one that nobody uses
	if _, err := net.Dial("tcp", socks[2].Bound.String()); err == nil {
		t.Error("a socket without users still listens")
	}
	fd, _, err := again[0].FD(0).Accept()
	if err != nil {
		t.Errorf("the queued client is gone: %v", err)
	}
	_ = fd.Close()
	after.Release(again)
	if _, err := os.Lstat(path); err == nil {
		t.Error("the file of the Unix socket is left")
	}
}

func TestImportRefusesWhatIsNoListener(t *testing.T) {
	r, w, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	var table Table
	if err := table.Import(Handed{Sockets: []HandedSocket{{FD: r, Key: "x"}}}); err == nil {
		t.Error("a pipe was taken for a listening socket")
	}
}
