package pidfile

import (
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func hold1(t *testing.T, path string, pid int) *File {
	t.Helper()
	f, err := Hold(path, pid)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func want(t *testing.T, path, content string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != content {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, content)
	}
}

func TestALiveServersPIDFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	f := hold1(t, path, 123)
	want(t, path, "123\n")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&^0o644 != 0 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := Hold(path, 456); err == nil || !strings.Contains(err.Error(), "process 123 holds it") {
		t.Errorf("a second server: %v", err)
	}
	want(t, path, "123\n")
	f.Release()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("after the release: %v", err)
	}
}

// A stale file's number may be that of a live process, our own in a container
// that was started again.
func TestAStalePIDFileIsReplaced(t *testing.T) {
	for _, stale := range []string{"", "1\n", "4194304999\n", " 17"} {
		path := filepath.Join(t.TempDir(), "pid")
		if err := os.WriteFile(path, []byte(stale), 0o600); err != nil {
			t.Fatal(err)
		}
		f := hold1(t, path, 42)
		want(t, path, "42\n")
		f.Release()
	}
}

func TestWhatIsNoPIDFileIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	for _, content := range []string{"root:x:0:0:root:/root:/bin/sh\n", "-1\n", strings.Repeat("1", 100), "\n"} {
		if err := os.WriteFile(text, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Hold(text, 42); err == nil {
			t.Errorf("%q was taken for a pid file", content)
		}
		want(t, text, content)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, dir, filepath.Join(dir, "no", "pid")} {
		if _, err := Hold(path, 42); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestAnothersPIDFileIsNotRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	first := hold1(t, path, 1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second := hold1(t, path, 2)
	if err := first.Renew(); err == nil {
		t.Error("took away another's file")
	}
	first.Release()
	want(t, path, "2\n")
	second.Release()
}

func TestARemovedPIDFileIsMadeAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	f := hold1(t, path, 1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := f.Renew(); err != nil {
		t.Fatal(err)
	}
	want(t, path, "1\n")
	if _, err := Hold(path, 2); err == nil {
		t.Error("it is not locked")
	}
	f.Release()
}

// On a full disk there is an error, and no empty file.
func TestAPIDFileOnAFullDiskIsAnError(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(unix.SIGXFSZ)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 0, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Setrlimit(unix.RLIMIT_FSIZE, &before) }()
	path := filepath.Join(t.TempDir(), "pid")
	if _, err := Hold(path, 42); err == nil {
		t.Error("it was written")
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file: %v", err)
	}
}
