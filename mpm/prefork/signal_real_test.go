package prefork

import (
	"io"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/image"
)

// What a terminal sends to everybody is the master's to act on. SIGTERM ends a
// child and its connection, and the master makes up for it.
func TestAChildIgnoresAllSignalsButTERM(t *testing.T) {
	s := startServer(t, nil)
	conn, _, pid, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGQUIT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH, unix.SIGPIPE} {
		if err := unix.Kill(pid, sig); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			t.Fatalf("%s ended a child that serves: %v", unix.SignalName(sig), err)
		}
	}
	if err := unix.Kill(pid, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes came after SIGTERM", n)
	}
	if err := s.ping("one"); err != nil {
		t.Errorf("after the child's end: %v", err)
	}
}

// A child that cannot be started leaves a page that says starting, whatever the
// one before it wrote last.
func TestASlotSaysStartingBeforeItsChildRuns(t *testing.T) {
	l, err := newLinux(Config{}, make(chan event, 64))
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	o := &mpm.Options{Listeners: []mpm.Listener{{Name: "a", Address: "127.0.0.1:0", Backlog: 1}}}
	files, err := l.openGeneration(new(image.Image), o)
	if err != nil {
		t.Fatal(err)
	}
	defer files.release()
	for range 2 { // with a gate that is no descriptor
		gate := &files.(*linuxGeneration).gate
		own := gate.r
		gate.r = 1 << 20
		_, err := l.spawn(3, 0, 1, files)
		gate.r = own
		if err == nil {
			t.Fatal("a child was started without a gate")
		}
		if got := l.slotState(3); got != mpm.StateStarting {
			t.Errorf("the slot says %s, want starting", got)
		}
		l.board[3].SetState(mpm.StateWriting)
	}
}
