package jail_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/host/internal/jail"
	experimental "github.com/tetratelabs/wazero/experimental/sys"
)

func openFile(t *testing.T, f *jail.FS, name string, flag experimental.Oflag) experimental.File {
	t.Helper()
	file, errno := f.OpenFile(name, flag, 0o600)
	if errno != 0 {
		t.Fatalf("open %s: %v", name, errno)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// Links that lead down from where they are could lead out from elsewhere.
func TestALinkThatCouldLeadOutIsNotMoved(t *testing.T) {
	inside, _ := folder(t)
	for name, target := range map[string]string{"sub/up": "../file", "absolute": "/file", "down": "file"} {
		must(t, os.Symlink(target, filepath.Join(inside, name)))
	}
	f, said := open(t, inside, true)
	for _, name := range []string{"sub/up", "absolute"} {
		if errno := f.Rename(name, "moved"); errno != experimental.EPERM {
			t.Errorf("%s: %v", name, errno)
		}
		if got := said.take(); !slices.Equal(got, []string{fmt.Sprint(jail.LinkedOut, " ", name)}) {
			t.Errorf("%s: said %q", name, got)
		}
	}
	if errno := f.Rename("down", "sub/down"); errno != 0 {
		t.Error(errno)
	}
}

// What is refused is told by the name that led there.
func TestARefusalHasTheNameThatLeadsOut(t *testing.T) {
	inside, outside := folder(t)
	f, said := open(t, inside, true)
	for want, errno := range map[string]experimental.Errno{
		"link from":   f.Link("../out/file", "linked"),
		"link to":     f.Link("file", "../out/linked"),
		"rename from": f.Rename("../out/file", "moved"),
		"rename to":   f.Rename("file", "../out/moved"),
		"symlink":     f.Symlink("file", "../out/link"),
		"symlink to":  f.Symlink("../out/file", "link"),
	} {
		if errno != experimental.EPERM {
			t.Errorf("%s: %v", want, errno)
		}
	}
	got := said.take()
	slices.Sort(got)
	want := []string{
		fmt.Sprint(jail.Escaped, " ../out/file"), fmt.Sprint(jail.Escaped, " ../out/file"), fmt.Sprint(jail.Escaped, " ../out/link"),
		fmt.Sprint(jail.Escaped, " ../out/linked"), fmt.Sprint(jail.Escaped, " ../out/moved"), fmt.Sprint(jail.LinkedOut, " link"),
	}
	if !slices.Equal(got, want) {
		t.Errorf("said %q, want %q", got, want)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 1 {
		t.Errorf("outside is %v, %v", left, err)
	}
}

// Whoever does not want to follow a link does not, wherever it leads.
func TestALinkIsNotFollowedUnasked(t *testing.T) {
	inside, _ := folder(t)
	for name, target := range map[string]string{"dangling": "none", "out": "../out/file", "down": "file"} {
		must(t, os.Symlink(target, filepath.Join(inside, name)))
	}
	f, said := open(t, inside, true)
	for _, name := range []string{"dangling", "out", "down"} {
		for _, flag := range []experimental.Oflag{experimental.O_RDONLY, experimental.O_RDWR | experimental.O_CREAT} {
			if _, errno := f.OpenFile(name, flag|experimental.O_NOFOLLOW, 0o600); errno != experimental.ELOOP {
				t.Errorf("%s with %b: %v", name, flag, errno)
			}
		}
	}
	if _, err := os.Lstat(filepath.Join(inside, "none")); err == nil {
		t.Error("the target of a link was made")
	}
	if got := said.take(); len(got) > 0 {
		t.Errorf("said %q", got)
	}
}

// A file that has lost its name can be used as it was opened.
func TestAFileWithoutItsName(t *testing.T) {
	inside, _ := folder(t)
	f, _ := open(t, inside, true)
	file := openFile(t, f, "new", experimental.O_RDWR|experimental.O_CREAT|experimental.O_EXCL)
	if errno := f.Unlink("new"); errno != 0 {
		t.Fatal(errno)
	}
	if errno := file.SetAppend(false); errno != 0 {
		t.Errorf("nothing to change: %v", errno)
	}
	if errno := file.SetAppend(true); errno != experimental.ENOENT {
		t.Errorf("to append: %v", errno)
	}
	if _, err := os.Lstat(filepath.Join(inside, "new")); err == nil {
		t.Error("it was made again")
	}
}

// What is done to an open file is not done to another one that has its name now.
func TestAnotherFileOfTheNameIsLeftAlone(t *testing.T) {
	inside, _ := folder(t)
	f, _ := open(t, inside, true)
	file := openFile(t, f, "file", experimental.O_RDWR)
	other := filepath.Join(inside, "other")
	must(t, os.WriteFile(other, []byte("other"), 0o600))
	must(t, os.Chtimes(other, time.Unix(1e9, 0), time.Unix(1e9, 0)))
	must(t, os.Rename(other, filepath.Join(inside, "file")))
	if errno := file.SetAppend(true); errno != experimental.ENOENT {
		t.Errorf("append: %v", errno)
	}
	if errno := file.Utimens(0, 0); errno != experimental.ENOENT {
		t.Errorf("utimens: %v", errno)
	}
	if _, errno := file.Pwrite([]byte("x"), 0); errno != 0 {
		t.Error(errno)
	}
	info, err := os.Stat(filepath.Join(inside, "file"))
	must(t, err)
	if text, err := os.ReadFile(filepath.Join(inside, "file")); err != nil || string(text) != "other" || !info.ModTime().Equal(time.Unix(1e9, 0)) {
		t.Errorf("the other one has %q, of %s, %v", text, info.ModTime(), err)
	}
}

// A named pipe in the place of a file keeps nobody waiting for its other end.
func TestAPipeKeepsNobodyWaiting(t *testing.T) {
	inside, _ := folder(t)
	f, _ := open(t, inside, true)
	file := openFile(t, f, "file", experimental.O_RDONLY)
	pipe := filepath.Join(inside, "file")
	must(t, os.Remove(pipe))
	must(t, syscall.Mkfifo(pipe, 0o600))
	done := make(chan experimental.Errno, 1)
	go func() { done <- file.SetAppend(true) }()
	select {
	case errno := <-done:
		if errno != experimental.EPERM {
			t.Error(errno)
		}
	case <-time.After(20 * time.Second):
		end, err := os.OpenFile(pipe, os.O_RDWR, 0) // lets the goroutine go
		must(t, err)
		_ = end.Close()
		t.Errorf("it waits, and then says %v", <-done)
	}
}
