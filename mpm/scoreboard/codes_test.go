package scoreboard

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm/internal/sys"
)

func TestTheMasterSeesWhichCodeHasFailed(t *testing.T) {
	master := newSlot(t, 2)
	child := attach(t, master)
	child.Thread(1).SetState(4) // the record right before
	before := master.Failures()
	child.Failed(0)
	child.Failed(2)
	child.Failed(2)
	if master.Failures() == before {
		t.Error("the master is not told that there was any")
	}
	for code, want := range []uint64{1, 0, 2} {
		if got := master.FailuresOf(code); got != want {
			t.Errorf("code %d has failed %d times, want %d", code, got, want)
		}
	}
	if got := master.Thread(1).State(); got != 4 {
		t.Errorf("the state of a thread has become %v", got)
	}
	master.Reset()
	if master.Failures() != 0 || master.FailuresOf(2) != 0 {
		t.Error("the next owner of the slot is blamed for them")
	}
}

func TestASlotOfOtherCodesIsRefused(t *testing.T) {
	s := newSlot(t, 1)
	for _, n := range []int{-1, 0, codes + 1, 10_000} {
		if _, err := Attach(s.FD(), 1, n); err == nil {
			t.Errorf("attached to a slot of %d codes as to one of %d", codes, n)
		}
	}
}

func flags(t *testing.T, count int) (master, child *Flags) {
	t.Helper()
	master, err := NewFlags(count)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	fd, err := unix.Dup(int(master.FD()))
	if err != nil {
		t.Fatal(err)
	}
	if child, err = AttachFlags(sys.FD(fd), count); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Close() })
	return master, child
}

func TestChildrenSeeTheFlags(t *testing.T) {
	master, child := flags(t, 3)
	master.Set(1, true)
	for i, want := range []bool{false, true, false} {
		if child.Up(i) != want {
			t.Errorf("flag %d is up: %v", i, !want)
		}
	}
	master.Set(1, false)
	if child.Up(1) {
		t.Error("a flag that was taken down is up")
	}
	flags(t, 0) // of a generation without codes
}

// Only the mapping that the master has can change them.
func TestNobodyElseCanSetAFlag(t *testing.T) {
	_, child := flags(t, 3)
	if _, err := child.FD().Map(64, true); !errors.Is(err, unix.EPERM) {
		t.Errorf("they were mapped for writing: %v", err)
	}
	if _, err := unix.Pwrite(int(child.FD()), []byte{1}, flagsHeaderBytes); !errors.Is(err, unix.EPERM) {
		t.Errorf("they were written to: %v", err)
	}
	if err := unix.Ftruncate(int(child.FD()), 1); !errors.Is(err, unix.EPERM) {
		t.Errorf("they were cut short: %v", err)
	}
	if err := unix.Mprotect(child.mem, unix.PROT_READ|unix.PROT_WRITE); err == nil {
		t.Error("a mapping was made writable")
	}
}

func TestAttachFlagsRefusesWhatAreNone(t *testing.T) {
	fd, err := sys.Memfd("none", flagsHeaderBytes+3*flagBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = fd.Close() }()
	if _, err := AttachFlags(fd, 3); err == nil {
		t.Error("a memfd that anyone may write to was taken")
	}
	if err := fd.Seal(sys.ReadOnlySeals); err != nil {
		t.Fatal(err)
	}
	if _, err := AttachFlags(fd, 3); err == nil {
		t.Error("a memfd of zeros was taken")
	}
	master, _ := flags(t, 3)
	for _, count := range []int{0, 2, 4} {
		if _, err := AttachFlags(master.FD(), count); err == nil {
			t.Errorf("3 flags were taken for %d", count)
		}
	}
}
