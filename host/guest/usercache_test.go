//go:build unix

package guest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/apphost/apphost/host/guest"
)

// userID is a user that is neither root nor anybody.
const userID = 54321

func onlyRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder away")
	}
}

func ownerAndMode(t *testing.T, path string) (uid uint32, mode fs.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid, info.Mode()
}

// A user's folder is the user's alone and can be reached, in a folder that
// stays root's, whoever made that.
func TestAUsersCacheIsTheUsersAlone(t *testing.T) {
	onlyRoot(t)
	for name, before := range map[string]func(dir string) error{
		"missing":         func(string) error { return nil },
		"roots own cache": func(dir string) error { return os.MkdirAll(dir, 0o700) },
	} {
		for _, inJail := range []bool{false, true} {
			jail, top := "", t.TempDir()
			dir := filepath.Join(top, "var", "cache")
			if err := before(dir); err != nil {
				t.Fatal(err)
			}
			asked := dir
			if inJail {
				jail, asked = top, "/var/cache"
			}
			for range 2 { // made, and found again
				got, err := guest.MakeUserCache(jail, asked, userID, userID)
				if err != nil || got != filepath.Join(asked, "uid-54321") {
					t.Fatalf("%s: %q, %v", name, got, err)
				}
				if uid, mode := ownerAndMode(t, filepath.Join(jail, got)); uid != userID || mode != fs.ModeDir|0o700 {
					t.Errorf("%s: the folder is user %d's, with mode %s", name, uid, mode)
				}
				if uid, mode := ownerAndMode(t, dir); uid != 0 || mode.Perm()&0o033 != 0o011 {
					t.Errorf("%s: the folder around it is user %d's, with mode %s", name, uid, mode)
				}
			}
		}
	}
}

// A folder that is the user's already is the cache, and root touches nothing
// in it.
func TestAFolderThatIsTheUsersIsTheCache(t *testing.T) {
	onlyRoot(t)
	dir := t.TempDir()
	if err := os.Chown(dir, userID, userID); err != nil {
		t.Fatal(err)
	}
	if got, err := guest.MakeUserCache("", dir, userID, userID); err != nil || got != dir {
		t.Errorf("%q, %v", got, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("root has left %v there, %v", entries, err)
	}
}

// Root makes and gives away nothing where somebody else could have a hand in
// it.
func TestRootMakesNoCacheWhereOthersMayWrite(t *testing.T) {
	onlyRoot(t)
	outside := t.TempDir()
	for want, spoil := range map[string]func(dir string) error{
		"may be written by others": func(dir string) error { return os.Chmod(dir, 0o777) },
		"belongs to user 12345":    func(dir string) error { return os.Chown(dir, 12345, 12345) },
		"uid-54321 is not a directory": func(dir string) error {
			return os.Symlink(outside, filepath.Join(dir, "uid-54321"))
		},
		"not a directory": func(dir string) error {
			if err := os.Remove(dir); err != nil {
				return err
			}
			return os.WriteFile(dir, nil, 0o600)
		},
		"escapes": func(dir string) error {
			if err := os.Remove(dir); err != nil {
				return err
			}
			return os.Symlink(outside, dir)
		},
	} {
		jail := t.TempDir()
		dir := filepath.Join(jail, "cache")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		got, err := guest.MakeUserCache(jail, "/cache", userID, userID)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q, %v, want an error with %q", got, err, want)
		}
	}
	if uid, _ := ownerAndMode(t, outside); uid != 0 {
		t.Errorf("root gave away a folder, to user %d", uid)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("root made %v, %v", entries, err)
	}
}

// Where another user could put a link or a folder in the place of one on the way to
// the cache, root makes nothing and changes no mode.
func TestRootFollowsNobodysLinks(t *testing.T) {
	onlyRoot(t)
	for name, tc := range map[string]struct {
		mode  fs.FileMode // of the folder svc
		owner int
		link  int // who made svc/cache, a link; -1: nobody
		want  string
	}{
		"a user's folder and link":        {0o755, userID, userID, "belongs to another user"},
		"a user's folder, root's link":    {0o755, userID, 0, "belongs to another user"},
		"a user's folder, nothing in it":  {0o755, userID, -1, "belongs to another user"},
		"a folder that others may write":  {0o777, 0, 0, "may be written by others"},
		"a folder that a group may write": {0o775, 0, -1, "may be written by others"},
		"another's link in a sticky one":  {0o777 | fs.ModeSticky, 0, userID, "another user's link"},
		"root's link in a sticky one":     {0o777 | fs.ModeSticky, 0, 0, ""},
		"root's link in a folder of root": {0o755, 0, 0, ""},
		"nothing in a folder of root":     {0o755, 0, -1, ""},
		"nothing in a sticky one":         {0o777 | fs.ModeSticky, 0, -1, ""},
	} {
		for _, below := range []string{"", "/below"} {
			top := t.TempDir()
			svc, secret := filepath.Join(top, "svc"), filepath.Join(top, "secret")
			for _, err := range []error{os.Mkdir(svc, 0o700), os.Mkdir(secret, 0o700)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			if tc.link >= 0 {
				if err := os.Symlink(secret, filepath.Join(svc, "cache")); err != nil {
					t.Fatal(err)
				}
				if err := os.Lchown(filepath.Join(svc, "cache"), tc.link, tc.link); err != nil {
					t.Fatal(err)
				}
			}
			for _, err := range []error{os.Chown(svc, tc.owner, tc.owner), os.Chmod(svc, tc.mode)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			dir := filepath.Join(svc, "cache") + below
			got, err := guest.MakeUserCache("", dir, userID, userID)
			if tc.want == "" {
				if err != nil || got != filepath.Join(dir, "uid-54321") {
					t.Errorf("%s: %q, %v", name, got, err)
				}
				continue
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %q, %v, want an error with %q", name, got, err, tc.want)
			}
			if _, mode := ownerAndMode(t, secret); mode.Perm() != 0o700 {
				t.Errorf("%s: root has made the mode of another folder %s", name, mode)
			}
			if made, err := os.ReadDir(secret); err != nil || len(made) > 0 {
				t.Errorf("%s: root has made %v there, %v", name, made, err)
			}
		}
	}
}

// A folder that is the user's already may be anywhere: root makes nothing there.
func TestAUsersCacheMayBeInTheUsersFolder(t *testing.T) {
	onlyRoot(t)
	dir := filepath.Join(t.TempDir(), "home", "cache")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Dir(dir), dir} {
		if err := os.Chown(path, userID, userID); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := guest.MakeUserCache("", dir, userID, userID); err != nil || got != dir {
		t.Errorf("%q, %v", got, err)
	}
}
