package jail_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/apphost/apphost/host/internal/jail"
	experimental "github.com/tetratelabs/wazero/experimental/sys"
)

// refusals notes what was refused.
type refusals struct {
	mu   sync.Mutex
	list []string
}

func (r *refusals) note(kind jail.Refusal, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, fmt.Sprint(kind, " ", name))
}

func (r *refusals) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

// folder makes a folder with a file, and one beside it with a secret.
func folder(t *testing.T) (inside, outside string) {
	t.Helper()
	top := t.TempDir()
	inside, outside = filepath.Join(top, "in"), filepath.Join(top, "out")
	for _, dir := range []string{inside, outside, filepath.Join(inside, "sub")} {
		must(t, os.Mkdir(dir, 0o700))
	}
	must(t, os.WriteFile(filepath.Join(inside, "file"), []byte("inside"), 0o600))
	must(t, os.WriteFile(filepath.Join(outside, "file"), []byte("secret"), 0o600))
	return inside, outside
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string, write bool) (*jail.FS, *refusals) {
	t.Helper()
	said := &refusals{}
	f, err := jail.Open(dir, write, said.note)
	must(t, err)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f, said
}

// everyway tries all that takes a name, and returns what did not fail.
func everyway(f *jail.FS, name string) (done []string) {
	try := func(what string, errno experimental.Errno) {
		if errno == 0 {
			done = append(done, what)
		}
	}
	for what, flag := range map[string]experimental.Oflag{
		"open": experimental.O_RDONLY, "write": experimental.O_RDWR, "create": experimental.O_RDWR | experimental.O_CREAT,
		"truncate": experimental.O_WRONLY | experimental.O_TRUNC, "folder": experimental.O_DIRECTORY,
	} {
		file, errno := f.OpenFile(name, flag, 0o600)
		if errno == 0 {
			_ = file.Close()
		}
		try(what, errno)
	}
	_, errno := f.Stat(name)
	try("stat", errno)
	try("mkdir", f.Mkdir(name+"/new", 0o700))
	try("utimens", f.Utimens(name, 0, 0))
	try("rename out", f.Rename("file", name+"/moved"))
	try("rename in", f.Rename(name+"/file", "moved"))
	try("link out", f.Link("file", name+"/linked"))
	try("link in", f.Link(name+"/file", "linked"))
	try("unlink", f.Unlink(name+"/file"))
	try("rmdir", f.Rmdir(name+"/empty"))
	try("symlink", f.Symlink("x", name+"/x"))
	slices.Sort(done)
	return done
}

func TestNoNameLeadsOut(t *testing.T) {
	inside, outside := folder(t)
	must(t, os.Mkdir(filepath.Join(outside, "empty"), 0o700))
	for name, target := range map[string]string{
		"absolute": outside, "up": "../out", "file-absolute": filepath.Join(outside, "file"), "file-up": "../out/file",
		"twice": "up", "sub/up": "../../out", "round": "sub/../../out", "proc": "/proc/self/root", "dangling": "../out/none",
	} {
		must(t, os.Symlink(target, filepath.Join(inside, name)))
	}
	f, said := open(t, inside, true)
	for _, name := range []string{
		"..", "../out", "../out/file", "sub/../../out", outside, filepath.Join(outside, "file"), "/etc/passwd",
		"absolute", "up", "file-absolute", "file-up", "twice", "sub/up", "round", "proc", "up/file", "absolute/file",
		"dangling", "proc/etc", "sub/up/file",
	} {
		if done := everyway(f, name); len(done) > 0 {
			t.Errorf("%q: %q", name, done)
		}
		if got := said.take(); !slices.Contains(got, fmt.Sprint(jail.Escaped, " ", name)) {
			t.Errorf("%q: said %q", name, got)
		}
	}
	left, err := os.ReadDir(outside)
	if secret, _ := os.ReadFile(filepath.Join(outside, "file")); err != nil || len(left) != 2 || string(secret) != "secret" {
		t.Errorf("outside is %v with %q, %v", left, secret, err)
	}
}

// Somebody else swaps a folder, and a file, for links that lead out, and a file for
// a named pipe, while the guest opens them over and over.
func TestNoRaceLeadsOut(t *testing.T) {
	inside, outside := folder(t)
	must(t, os.Symlink(outside, filepath.Join(inside, "link")))
	must(t, os.Symlink(filepath.Join(outside, "file"), filepath.Join(inside, "link-file")))
	must(t, os.WriteFile(filepath.Join(inside, "sub", "file"), []byte("inside"), 0o600))
	must(t, os.WriteFile(filepath.Join(inside, "plain"), []byte("inside"), 0o600))
	must(t, syscall.Mkfifo(filepath.Join(inside, "pipe"), 0o600))
	f, _ := open(t, inside, true)
	stop := make(chan struct{})
	var swapping sync.WaitGroup
	for _, pair := range [][2]string{{"sub", "link"}, {"file", "link-file"}, {"plain", "pipe"}} {
		swapping.Go(func() {
			a, b, spare := filepath.Join(inside, pair[0]), filepath.Join(inside, pair[1]), filepath.Join(inside, "spare-"+pair[1])
			for {
				select {
				case <-stop:
					return
				default:
				}
				for _, move := range [][2]string{{a, spare}, {b, a}, {spare, b}} {
					if err := os.Rename(move[0], move[1]); err != nil {
						t.Error(err)
					}
				}
				runtime.Gosched()
			}
		})
	}
	defer func() {
		close(stop)
		swapping.Wait()
	}()
	rounds := 20_000
	if testing.Short() {
		rounds = 2_000
	}
	opened := 0
	for range rounds {
		for _, name := range []string{"sub/file", "file", "plain"} {
			file, errno := f.OpenFile(name, experimental.O_RDWR, 0)
			if errno != 0 {
				continue
			}
			buf := make([]byte, 16)
			n, errno := file.Pread(buf, 0)
			_ = file.Close()
			opened++
			if string(buf[:n]) != "inside" || errno != 0 {
				t.Fatalf("%s has %q, %v", name, buf[:n], errno)
			}
		}
		if _, errno := f.OpenFile("sub/stolen", experimental.O_RDONLY, 0); errno == 0 {
			t.Fatal("what is not there was opened")
		}
	}
	if opened == 0 {
		t.Error("nothing was ever opened")
	}
}

func TestWhatIsReadOnlyStaysAsItIs(t *testing.T) {
	inside, _ := folder(t)
	f, said := open(t, inside, false)
	for what, errno := range map[string]experimental.Errno{
		"mkdir": f.Mkdir("new", 0o700), "rename": f.Rename("file", "moved"), "rmdir": f.Rmdir("sub"), "unlink": f.Unlink("file"),
		"link": f.Link("file", "linked"), "symlink": f.Symlink("file", "link"), "utimens": f.Utimens("file", 0, 0),
	} {
		if errno != experimental.EROFS {
			t.Errorf("%s: %v", what, errno)
		}
	}
	for _, flag := range []experimental.Oflag{
		experimental.O_RDWR, experimental.O_WRONLY, experimental.O_APPEND, experimental.O_CREAT, experimental.O_TRUNC,
	} {
		for _, name := range []string{"file", "new"} {
			_, errno := f.OpenFile(name, flag, 0o600)
			if errno == 0 || name == "file" && errno != experimental.EROFS {
				t.Errorf("open %q with %b: %v", name, flag, errno)
			}
		}
	}
	if got := said.take(); len(got) < 12 {
		t.Errorf("said %q", got)
	}
	file, errno := f.OpenFile("file", experimental.O_RDONLY, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	defer file.Close()
	for what, errno := range map[string]experimental.Errno{
		"truncate": file.Truncate(0), "utimens": file.Utimens(0, 0),
	} {
		if errno == 0 {
			t.Errorf("%s succeeded", what)
		}
	}
	if _, errno := file.Write([]byte("x")); errno == 0 {
		t.Error("a write succeeded")
	}
	if text, err := os.ReadFile(filepath.Join(inside, "file")); err != nil || string(text) != "inside" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestOnlyFilesAndFoldersAreOpened(t *testing.T) {
	inside, _ := folder(t)
	must(t, syscall.Mkfifo(filepath.Join(inside, "pipe"), 0o600))
	must(t, os.Symlink("pipe", filepath.Join(inside, "link")))
	f, said := open(t, inside, true)
	for _, name := range []string{"pipe", "link"} {
		for _, flag := range []experimental.Oflag{experimental.O_RDONLY, experimental.O_WRONLY, experimental.O_RDWR | experimental.O_CREAT} {
			if _, errno := f.OpenFile(name, flag, 0); errno != experimental.EPERM {
				t.Errorf("%s with %b: %v", name, flag, errno)
			}
		}
	}
	if got := said.take(); len(got) != 6 {
		t.Errorf("said %q", got)
	}
}

// A guest may make links, but none that would lead whoever follows it out.
func TestLinksOfAGuestLeadDown(t *testing.T) {
	inside, _ := folder(t)
	f, _ := open(t, inside, true)
	for target, want := range map[string]experimental.Errno{
		"file": 0, "sub/x": 0, "..file": 0, "../out": experimental.EPERM, "/etc": experimental.EPERM, "sub/../../out": experimental.EPERM, "..": experimental.EPERM, "": experimental.EPERM,
	} {
		if errno := f.Symlink(target, "sub/link"); errno != want {
			t.Errorf("%q: %v, want %v", target, errno, want)
		}
		_ = f.Unlink("sub/link")
	}
}

func TestAFolderThatCannotBeUsedIsAnError(t *testing.T) {
	inside, _ := folder(t)
	for _, dir := range []string{filepath.Join(inside, "none"), filepath.Join(inside, "file")} {
		if _, err := jail.Open(dir, false, nil); err == nil {
			t.Errorf("%s was opened", dir)
		}
	}
}
