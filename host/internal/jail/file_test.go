package jail_test

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	experimental "github.com/tetratelabs/wazero/experimental/sys"
)

func TestAFileIsReadAndWritten(t *testing.T) {
	inside, _ := folder(t)
	f, _ := open(t, inside, true)
	file, errno := f.OpenFile("sub/new", experimental.O_RDWR|experimental.O_CREAT|experimental.O_EXCL, 0o600)
	if errno != 0 {
		t.Fatal(errno)
	}
	defer file.Close()
	want := func(what string, n int, errno experimental.Errno, wanted int) {
		t.Helper()
		if errno != 0 || n != wanted {
			t.Errorf("%s: %d, %v, want %d", what, n, errno, wanted)
		}
	}
	n, errno := file.Write([]byte("hello world"))
	want("write", n, errno, 11)
	n, errno = file.Pwrite([]byte("W"), 6)
	want("pwrite", n, errno, 1)
	at, errno := file.Seek(-5, io.SeekEnd)
	want("seek", int(at), errno, 6)
	buf := make([]byte, 20)
	n, errno = file.Read(buf)
	want("read", n, errno, 5)
	n, errno = file.Read(buf[10:])
	want("read at the end", n, errno, 0)
	n, errno = file.Pread(buf[5:10], 0)
	want("pread", n, errno, 5)
	if string(buf[:10]) != "Worldhello" {
		t.Errorf("read %q", buf)
	}
	want("truncate", 0, file.Truncate(5), 0)
	want("append", 0, file.SetAppend(true), 0)
	if _, errno := file.Seek(0, io.SeekStart); errno != 0 || !file.IsAppend() {
		t.Error(errno)
	}
	n, errno = file.Write([]byte("!"))
	want("append", n, errno, 1)
	n, errno = file.Pwrite([]byte("?"), 0)
	want("append by pwrite", n, errno, 1)
	want("not append", 0, file.SetAppend(false), 0)
	want("sync", 0, file.Sync(), 0)
	want("datasync", 0, file.Datasync(), 0)
	moment := time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC).UnixNano()
	want("utimens", 0, file.Utimens(experimental.UTIME_OMIT, moment), 0)
	st, errno := file.Stat()
	if errno != 0 || st.Size != 7 || st.Mtim != moment || st.Atim == moment {
		t.Errorf("%+v, %v", st, errno)
	}
	if text, err := os.ReadFile(filepath.Join(inside, "sub", "new")); err != nil || string(text) != "hello!?" {
		t.Errorf("%q, %v", text, err)
	}
	if _, errno := f.OpenFile("sub/new", experimental.O_RDWR|experimental.O_CREAT|experimental.O_EXCL, 0o600); errno != experimental.EEXIST {
		t.Errorf("made twice: %v", errno)
	}
}

func TestAFolderIsListedAndChanged(t *testing.T) {
	inside, _ := folder(t)
	f, _ := open(t, inside, true)
	dir, errno := f.OpenFile(".", experimental.O_DIRECTORY|experimental.O_RDWR, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	defer dir.Close()
	list := func() []string {
		t.Helper()
		if _, errno := dir.Seek(0, io.SeekStart); errno != 0 {
			t.Fatal(errno)
		}
		entries, errno := dir.Readdir(-1)
		if errno != 0 {
			t.Fatal(errno)
		}
		var names []string
		for _, e := range entries {
			if e.Ino == 0 {
				t.Errorf("%s has no number", e.Name)
			}
			names = append(names, e.Name)
		}
		slices.Sort(names)
		return names
	}
	step := func(what string, errno, want experimental.Errno, names ...string) {
		t.Helper()
		if got := list(); errno != want || !slices.Equal(got, names) {
			t.Errorf("%s: %v, want %v; there is %q, want %q", what, errno, want, got, names)
		}
	}
	step("nothing", 0, 0, "file", "sub")
	step("mkdir", f.Mkdir("new", 0o700), 0, "file", "new", "sub")
	step("mkdir again", f.Mkdir("new", 0o700), experimental.EEXIST, "file", "new", "sub")
	step("link", f.Link("file", "new/second"), 0, "file", "new", "sub")
	step("rename", f.Rename("file", "moved"), 0, "moved", "new", "sub")
	step("symlink", f.Symlink("moved", "link"), 0, "link", "moved", "new", "sub")
	if target, errno := f.Readlink("link"); target != "moved" || errno != 0 {
		t.Errorf("readlink: %q, %v", target, errno)
	}
	if st, errno := f.Lstat("link"); errno != 0 || st.Mode&os.ModeSymlink == 0 {
		t.Errorf("lstat: %v, %v", st.Mode, errno)
	}
	if st, errno := f.Stat("link"); errno != 0 || !st.Mode.IsRegular() || st.Size != 6 {
		t.Errorf("stat: %v, %v", st, errno)
	}
	if _, errno := f.OpenFile("link", experimental.O_RDONLY|experimental.O_NOFOLLOW, 0); errno != experimental.ELOOP {
		t.Errorf("open of a link: %v", errno)
	}
	step("rmdir of a file", f.Rmdir("moved"), experimental.ENOTDIR, "link", "moved", "new", "sub")
	step("unlink of a folder", f.Unlink("sub"), experimental.EISDIR, "link", "moved", "new", "sub")
	step("rmdir of a full one", f.Rmdir("new"), experimental.ENOTEMPTY, "link", "moved", "new", "sub")
	step("unlink of a link", f.Unlink("link"), 0, "moved", "new", "sub")
	step("unlink", f.Unlink("moved"), 0, "new", "sub")
	step("rmdir", f.Rmdir("sub"), 0, "new")
	step("missing", f.Unlink("sub"), experimental.ENOENT, "new")
	if _, errno := dir.Write([]byte("x")); errno != experimental.EISDIR {
		t.Errorf("write to a folder: %v", errno)
	}
}
