package jail_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/apphost/apphost/host/internal/jail"
	experimental "github.com/tetratelabs/wazero/experimental/sys"
)

func TestWhatIsToBeSyncedIs(t *testing.T) {
	inside, _ := folder(t)
	f, _ := open(t, inside, true)
	for flag, want := range map[experimental.Oflag]bool{0: false, experimental.O_SYNC: true, experimental.O_DSYNC: true} {
		file, errno := f.OpenFile("file", experimental.O_RDWR|flag, 0)
		if errno != 0 {
			t.Fatal(errno)
		}
		if got := flagsOf(t, filepath.Join(inside, "file")); (got&syscall.O_SYNC == syscall.O_SYNC) != want {
			t.Errorf("with %b it is opened with %#o", flag, got)
		}
		_ = file.Close()
	}
}

// flagsOf are the flags of the descriptor by which this process has path open.
func flagsOf(t *testing.T, path string) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, fd := range open {
		if target, _ := os.Readlink("/proc/self/fd/" + fd.Name()); target != path {
			continue
		}
		info, err := os.ReadFile("/proc/self/fdinfo/" + fd.Name())
		must(t, err)
		_, rest, _ := strings.Cut(string(info), "flags:")
		flags, err := strconv.ParseInt(strings.Fields(rest)[0], 8, 64)
		must(t, err)
		return int(flags)
	}
	t.Fatalf("%s is not open", path)
	return 0
}

// A folder that may be read and not be entered is an error at once, not at the first
// access.
func TestAFolderThatCannotBeEnteredIsAnError(t *testing.T) {
	inside, _ := folder(t)
	for _, above := range []string{filepath.Dir(inside), filepath.Dir(filepath.Dir(inside))} {
		must(t, os.Chmod(above, 0o755))
	}
	must(t, os.Chmod(inside, 0o644))
	failed := make(chan error)
	go func() { // on a thread that is not used again
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			if err := syscall.Setfsuid(54321); err != nil {
				t.Error(err)
			}
		}
		f, err := jail.Open(inside, false, nil)
		if err == nil {
			_ = f.Close()
		}
		failed <- err
	}()
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "use folder") {
		t.Errorf("it says %v", err)
	}
	must(t, os.Chmod(inside, 0o700))
}
