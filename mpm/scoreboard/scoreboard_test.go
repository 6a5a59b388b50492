package scoreboard

import (
	"errors"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

func TestOwnerAndMasterSeeTheSameSlot(t *testing.T) {
	master, err := New(3)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	dup, err := unix.Dup(int(master.FD()))
	if err != nil {
		t.Fatal(err)
	}
	child, err := Attach(sys.FD(dup))
	if err != nil {
		t.Fatal(err)
	}
	defer child.Close()

	child.SetState(mpm.StateKeepalive)
	child.CountConn()
	if got := master.State(); got != mpm.StateKeepalive {
		t.Errorf("state %v, want keepalive", got)
	}
	master.Reset()
	child.CountConn()
	if own, all := master.Conns(); own != 1 || all != 2 {
		t.Errorf("served %d by the child and %d by the slot, want 1 and 2", own, all)
	}
}

func TestAnInvalidStateCountsAsBusy(t *testing.T) {
	s, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.SetState(12345)
	if got := s.State(); !got.Busy() {
		t.Errorf("state %v, want a busy one", got)
	}
}

func TestTheSizeIsSealed(t *testing.T) {
	s, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
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
	if _, err := Attach(zeros); err == nil {
		t.Error("attached to a memfd without seals")
	}
	if err := zeros.Seal(sys.SizeSeals); err != nil {
		t.Fatal(err)
	}
	if _, err := Attach(zeros); err == nil {
		t.Error("attached to a page without the magic number")
	}
}

func TestThePageIsLaidOutAsDocumented(t *testing.T) {
	var p page
	for _, f := range []struct {
		name      string
		got, want uintptr
	}{
		{"state", unsafe.Offsetof(p.state), 8},
		{"childConns", unsafe.Offsetof(p.childConns), 16},
		{"slotConns", unsafe.Offsetof(p.slotConns), 24},
	} {
		if f.got != f.want {
			t.Errorf("%s is at %d, documented at %d", f.name, f.got, f.want)
		}
	}
}
