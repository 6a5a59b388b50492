package scoreboard

import (
	"errors"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// codes is how many the slots of tests have.
const codes = 3

func newSlot(t testing.TB, threads int) *Slot {
	t.Helper()
	s, err := New(3, threads, codes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.Reset()
	return s
}

// attach maps a slot a second time, as its owner does.
func attach(t testing.TB, s *Slot) *Slot {
	t.Helper()
	dup, err := unix.Dup(int(s.FD()))
	if err != nil {
		t.Fatal(err)
	}
	child, err := Attach(sys.FD(dup), s.Threads(), codes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Close() })
	return child
}

func TestOwnerAndMasterSeeTheSameSlot(t *testing.T) {
	master := newSlot(t, 1)
	child := attach(t, master)
	if got := master.State(); got != mpm.StateStarting {
		t.Errorf("state %v before the child is ready, want starting", got)
	}
	serve := func() {
		own := child.Thread(0)
		own.BeginConn([]byte("127.0.0.1:9"), "web", 10)
		own.EndConn(7, 30)
	}
	child.SetState(mpm.StateReady)
	child.Thread(0).SetState(mpm.StateKeepalive)
	serve()
	if got := master.State(); got != mpm.StateKeepalive {
		t.Errorf("state %v, want keepalive", got)
	}
	master.Reset()
	serve()
	if n := master.Served(); n != 1 {
		t.Errorf("the child has served %d connections, want 1", n)
	}
	child.Thread(0).EndRequest(0, 40)
	if n := master.Served(); n != 2 {
		t.Errorf("with a request it has served %d, want 2", n)
	}
	master.Reset()
	serve()
	if got := master.Thread(0).Status().Totals; got != (Totals{1, 0, 7, 20}) {
		t.Errorf("totals %+v", got)
	}
}

func TestASlotIsReadyWhileAnyThreadIs(t *testing.T) {
	s := newSlot(t, 3)
	states := func(of ...mpm.State) {
		for i, state := range of {
			s.Thread(i).SetState(state)
		}
	}
	s.SetState(mpm.StateReady)
	states(mpm.StateWriting, mpm.StateKeepalive, mpm.StateReady)
	if ready, busy := s.Count(); s.State() != mpm.StateReady || ready != 1 || busy != 2 {
		t.Errorf("%v, %d threads ready and %d busy; want ready, 1, 2", s.State(), ready, busy)
	}
	states(mpm.StateWriting, mpm.StateKeepalive, mpm.StateClosing)
	if ready, busy := s.Count(); !s.State().Busy() || ready != 0 || busy != 3 {
		t.Errorf("%v, %d threads ready and %d busy; want busy, 0, 3", s.State(), ready, busy)
	}
	states(mpm.StateWriting, mpm.StateReady, mpm.StateReady)
	s.SetState(mpm.StateGraceful)
	if ready, busy := s.Count(); s.State() != mpm.StateGraceful || ready != 0 || busy != 1 {
		t.Errorf("one that leaves: %v, %d threads ready and %d busy; want graceful, 0, 1", s.State(), ready, busy)
	}
}

func TestAnInvalidStateCountsAsBusy(t *testing.T) {
	s := newSlot(t, 1)
	s.SetState(12345)
	s.Thread(0).SetState(mpm.StateReady)
	if got := s.State(); got != mpm.StateReady {
		t.Errorf("state %v, want what the thread says", got)
	}
	s.Thread(0).SetState(12345)
	if got := s.State(); !got.Busy() {
		t.Errorf("state %v, want a busy one", got)
	}
}

func TestTheSizeIsSealed(t *testing.T) {
	s := newSlot(t, 1)
	for _, size := range []int64{0, pageBytes * 2} {
		if err := unix.Ftruncate(int(s.FD()), size); !errors.Is(err, unix.EPERM) {
			t.Errorf("truncate to %d: %v, want EPERM", size, err)
		}
	}
}

func TestAttachRefusesOtherFiles(t *testing.T) {
	zeros, err := sys.Memfd("zeros", pageBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer zeros.Close()
	if _, err := Attach(zeros, 1, 0); err == nil {
		t.Error("attached to a memfd without seals")
	}
	if err := zeros.Seal(sys.SizeSeals); err != nil {
		t.Fatal(err)
	}
	if _, err := Attach(zeros, 1, 0); err == nil {
		t.Error("attached to a page without the magic number")
	}
	s := newSlot(t, 2)
	for _, threads := range []int{0, 1, 3, 100, ThreadsMax + 1} {
		if _, err := Attach(s.FD(), threads, codes); err == nil {
			t.Errorf("attached to a slot of 2 threads as to one of %d", threads)
		}
	}
	for _, threads := range []int{-1, 0, ThreadsMax + 1} {
		if _, err := New(0, threads, 0); err == nil {
			t.Errorf("made a slot of %d threads", threads)
		}
	}
}

func TestASlotIsLaidOutAsDocumented(t *testing.T) {
	var p process
	var r thread
	for _, f := range []struct {
		name      string
		got, want uintptr
	}{
		{"process", unsafe.Sizeof(p), processBytes},
		{"threads", unsafe.Offsetof(p.threads), 8},
		{"process state", unsafe.Offsetof(p.state), 12},
		{"codes", unsafe.Offsetof(p.codes), 20},
		{"failures", unsafe.Offsetof(p.failures), 24},
		{"thread", unsafe.Sizeof(r), threadBytes},
		{"sequence", unsafe.Offsetof(r.sequence), 4},
		{"count", unsafe.Offsetof(r.count), 8},
		{"start", unsafe.Offsetof(r.start), 40},
		{"stop", unsafe.Offsetof(r.stop), 48},
		{"runs", unsafe.Offsetof(r.runs), 56},
		{"text", unsafe.Offsetof(r.text), 64},
		{"client", unsafe.Offsetof(r.text) + unsafe.Offsetof(r.text.client), 72},
		{"listener", unsafe.Offsetof(r.text) + unsafe.Offsetof(r.text.listener), 120},
		{"request", unsafe.Offsetof(r.text) + unsafe.Offsetof(r.text.request), 176},
		{"protocol", unsafe.Offsetof(r.text) + unsafe.Offsetof(r.text.protocol), 240},
		{"budget", unsafe.Offsetof(r.code) + unsafe.Offsetof(r.code.budget), 256},
		{"code", unsafe.Offsetof(r.code) + unsafe.Offsetof(r.code.name), 265},
		{"call", unsafe.Offsetof(r.code) + unsafe.Offsetof(r.code.call), 321},
	} {
		if f.got != f.want {
			t.Errorf("%s is at %d, documented at %d", f.name, f.got, f.want)
		}
	}
}
