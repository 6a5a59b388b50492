package sys

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
)

// nobodyID is the user and group that own nothing.
const nobodyID = 65534

// A process that has kept a way back to root, of whatever kind, is found out.
// Credentials are each thread's own to the kernel, so that a thread of its own
// shows it.
func TestPrivilegesThatAreLeftAreFound(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root has privileges to leave")
	}
	const keep = ^uintptr(0) // as it is
	set := func(number, a, b, c uintptr) {
		if _, _, errno := unix.RawSyscall(number, a, b, c); errno != 0 {
			t.Errorf("system call %d: %v", number, errno)
		}
	}
	groups := func() { set(unix.SYS_SETGROUPS, 0, 0, 0) }
	gids := func() { set(unix.SYS_SETRESGID, nobodyID, nobodyID, nobodyID) }
	for name, tc := range map[string]struct {
		want string // in the error; "" is none
		drop func()
	}{
		"all dropped": {"", func() { groups(); gids(); set(unix.SYS_SETRESUID, nobodyID, nobodyID, nobodyID) }},
		"nothing":     {"users 0, 0, 0", func() {}},
		"real user":   {"users 0", func() { groups(); gids(); set(unix.SYS_SETRESUID, keep, nobodyID, nobodyID) }},
		"saved user":  {"65534, 0, want", func() { groups(); gids(); set(unix.SYS_SETRESUID, nobodyID, nobodyID, keep) }},
		"saved group": {"groups 65534, 65534, 0", func() {
			groups()
			set(unix.SYS_SETRESGID, nobodyID, nobodyID, keep)
			set(unix.SYS_SETRESUID, nobodyID, nobodyID, nobodyID)
		}},
		"other groups": {"supplementary groups", func() {
			own := []uint32{0, 4}
			if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, 2, uintptr(unsafe.Pointer(&own[0])), 0); errno != 0 {
				t.Error(errno)
			}
			gids()
			set(unix.SYS_SETRESUID, nobodyID, nobodyID, nobodyID)
		}},
		"capabilities": {"capabilities", func() {
			groups()
			gids()
			set(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1, 0)
			set(unix.SYS_SETRESUID, nobodyID, nobodyID, nobodyID)
		}},
	} {
		result := make(chan error)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with this
			tc.drop()
			result <- verifyDropped(&mpm.Identity{UID: nobodyID, GID: nobodyID})
		}()
		err := <-result
		if tc.want == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want an error with %q", name, err, tc.want)
		}
	}
}
