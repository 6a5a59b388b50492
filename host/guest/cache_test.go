package guest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/internal/hosttest"
)

// cached runs the guest named run with the cache in dir, as the keeper or as
// a child, and returns what was logged.
func cached(t *testing.T, dir string, keeper bool) string {
	t.Helper()
	logger, log := hosttest.Logger()
	r, err := guest.NewRuntime(t.Context(), guest.Options{CacheDir: dir, KeepCache: keeper, ABIs: abis(), Logger: logger})
	if err != nil {
		t.Error(err)
		return ""
	}
	m, err := r.Load(t.Context(), source(t, "run"))
	if err != nil {
		t.Error(err)
		return ""
	}
	pool, s := guest.NewPool(m, initialize, guest.Fresh), newSession(t)
	i, err := pool.Get(s)
	if err != nil {
		t.Error(err)
		return ""
	}
	if err := i.Call(s, "count", []uint64{0}); err != nil {
		t.Error(err)
	}
	pool.Put(i, guest.Returned)
	if err := r.Close(context.Background()); err != nil {
		t.Error(err)
	}
	return log.Take()
}

// codeFiles are the engine's files.
func codeFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "wazero-*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// newCache is a cache directory that holds the code of the guest named run.
func newCache(t *testing.T) (dir, code string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "cache")
	if log := cached(t, dir, true); log != "" {
		t.Fatalf("logged %q", log)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("cache directory: %v, %v", info, err)
	}
	files := codeFiles(t, dir)
	if len(files) != 1 {
		t.Fatalf("files of code: %v", files)
	}
	return dir, files[0]
}

// A damaged entry of the code cache costs a compilation. The keeper makes it
// anew, a child leaves it as it is.
func TestADamagedCacheEntryIsMadeAnew(t *testing.T) {
	dir, code := newCache(t)
	good, err := os.ReadFile(code)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{
		"empty":     {},
		"truncated": good[:len(good)/2],
		"last byte": append(bytes.Clone(good[:len(good)-1]), ^good[len(good)-1]),
		"garbage":   bytes.Repeat([]byte{0xff}, 100),
	}
	for at := 0; at < len(good); at += len(good)/20 + 1 { // code, and what is around it
		all[fmt.Sprintf("byte %d of %d", at, len(good))] = slices.Concat(good[:at], []byte{good[at] ^ 0x10}, good[at+1:])
	}
	for name, damaged := range all {
		if err := os.WriteFile(code, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if log := cached(t, dir, false); strings.Count(log, "\n") != 1 || !strings.Contains(log, "level=WARN") {
			t.Errorf("%s: a child logged %q, want one warning", name, log)
		}
		if now, err := os.ReadFile(code); err != nil || !bytes.Equal(now, damaged) {
			t.Errorf("%s: a child changed the entry (%v)", name, err)
		}
		if log := cached(t, dir, true); log != "" {
			t.Errorf("%s: the keeper logged %q", name, log)
		}
		if now, err := os.ReadFile(code); err != nil || !bytes.Equal(now, good) {
			t.Errorf("%s: the entry was not repaired (%v)", name, err)
		}
	}
}

// Whoever is told the digest of a module finds what others have made of it.
func TestTheDigestOfAModuleFindsItsCode(t *testing.T) {
	dir, _ := newCache(t)
	src := source(t, "run")
	digest, another := sha256.Sum256(src.Wasm), sha256.Sum256(nil)
	for given, want := range map[string]int{string(digest[:]): 0, "": 0, string(another[:]): 1} {
		src.Digest = []byte(given)
		r, err := guest.NewRuntime(t.Context(), guest.Options{CacheDir: dir, ABIs: abis()})
		if err != nil {
			t.Fatal(err)
		}
		before := len(codeFiles(t, dir))
		if _, err := r.Load(t.Context(), src); err != nil {
			t.Error(err)
		}
		if made := len(codeFiles(t, dir)) - before; made != want {
			t.Errorf("%d entries were made with the digest %x", made, given)
		}
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

func TestADigestOfAnotherLengthIsRefused(t *testing.T) {
	r := newRuntime(t, "")
	src := source(t, "run")
	digest := sha256.Sum256(src.Wasm)
	for _, given := range [][]byte{digest[:1], digest[:31], append(digest[:], 0)} {
		src.Digest = given
		want := fmt.Sprintf(`plugin "run": its digest has %d bytes, a SHA-256 has 32`, len(given))
		if _, err := r.Load(t.Context(), src); err == nil || err.Error() != want {
			t.Errorf("a digest of %d bytes: %v", len(given), err)
		}
	}
}

// Code that is in use is not compiled again, by whomever it was made.
func TestChildrenShareTheCode(t *testing.T) {
	dir, code := newCache(t)
	before, err := os.Stat(code)
	if err != nil {
		t.Fatal(err)
	}
	for _, keeper := range []bool{false, true, false} {
		if log := cached(t, dir, keeper); log != "" {
			t.Errorf("logged %q", log)
		}
	}
	if after, err := os.Stat(code); err != nil || !os.SameFile(before, after) {
		t.Errorf("the code was made again (%v)", err)
	}
	if err := os.RemoveAll(filepath.Dir(filepath.Dir(code))); err != nil {
		t.Fatal(err)
	}
	cached(t, dir, false)
	if len(codeFiles(t, dir)) != 1 {
		t.Error("a child did not put back what someone has removed")
	}
}

// What is wrong with the directory stops a candidate, and no child.
func TestAFaultOfTheCacheStopsNoChild(t *testing.T) {
	for want, spoil := range map[string]func(dir string) error{
		"may be written by others (mode 0777)": func(dir string) error { return os.Chmod(dir, 0o777) },
		"may be written by others (mode 0720)": func(dir string) error { return os.Chmod(dir, 0o720) },
		"not a directory": func(dir string) error {
			if err := os.Remove(dir); err != nil {
				return err
			}
			return os.WriteFile(dir, nil, 0o600)
		},
		"belongs to user 12345": func(dir string) error {
			if os.Geteuid() != 0 {
				return fs.ErrPermission
			}
			return os.Chown(dir, 12345, 12345)
		},
		"no such file": func(dir string) error { // the keeper makes it
			if err := os.Remove(dir); err != nil {
				return err
			}
			return os.Symlink("nowhere/at/all", dir)
		},
	} {
		t.Run(want, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cache")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := spoil(dir); err != nil {
				t.Skipf("only root can do this: %v", err)
			}
			log := cached(t, dir, false)
			if strings.Count(log, "\n") != 1 || !strings.Contains(log, "level=WARN") || !strings.Contains(log, want) {
				t.Errorf("a child logged %q, want one warning with %q", log, want)
			}
			_, err := guest.NewRuntime(t.Context(), guest.Options{CacheDir: dir, KeepCache: true, ABIs: abis()})
			if err == nil {
				t.Error("a keeper has no error")
			}
		})
	}
}

// A module's own folder in the cache is checked like the whole.
func TestAnEntryThatOthersMayWriteIsNotRun(t *testing.T) {
	dir, code := newCache(t)
	for _, folder := range []string{filepath.Dir(code), filepath.Dir(filepath.Dir(code))} {
		if err := os.Chmod(folder, 0o770); err != nil {
			t.Fatal(err)
		}
		if log := cached(t, dir, false); !strings.Contains(log, "may be written by others") {
			t.Errorf("logged %q", log)
		}
		cached(t, dir, true)
		if log := cached(t, dir, false); log != "" {
			t.Errorf("after the keeper, a child logged %q", log)
		}
	}
}

func TestTheKeeperRemovesWhatWasNotUsedForLong(t *testing.T) {
	dir, _ := newCache(t)
	day := 24 * time.Hour
	ages := map[string]time.Duration{
		strings.Repeat("a", 64):  31 * day,
		"wazero-old-amd64-linux": 31 * day,
		"compile-1.tmp":          2 * day,
		strings.Repeat("b", 64):  29 * day,
		"compile-2.tmp":          time.Hour,
		"somebody's":             99 * day,
	}
	for name, age := range ages {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Join(path, "inner"), 0o700); err != nil {
			t.Fatal(err)
		}
		past := time.Now().Add(-age)
		if err := os.Chtimes(path, past, past); err != nil {
			t.Fatal(err)
		}
	}
	list := func() (names []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	before := list()
	cached(t, dir, false)
	if now := list(); !slices.Equal(now, before) {
		t.Errorf("a child left %q of %q", now, before)
	}
	for _, name := range before { // the one in use is old, too, until it is used
		if _, ours := ages[name]; !ours {
			past := time.Now().Add(-31 * day)
			if err := os.Chtimes(filepath.Join(dir, name), past, past); err != nil {
				t.Fatal(err)
			}
		}
	}
	cached(t, dir, true)
	now := list()
	for _, name := range before {
		if gone := ages[name] == 31*day || ages[name] == 2*day; slices.Contains(now, name) == gone {
			t.Errorf("%s: removed is %t, want %t", name, !gone, gone)
		}
	}
}

// Keepers and children start at once, over a cache that is empty, good, or
// damaged. All of them run the guest, and what is left is good after the
// next keeper at the latest.
func TestTheCacheHasManyUsersAtOnce(t *testing.T) {
	dir, code := newCache(t)
	for round := range 9 {
		switch round % 3 {
		case 0:
			if err := os.RemoveAll(filepath.Dir(filepath.Dir(code))); err != nil {
				t.Fatal(err)
			}
		case 1:
			if err := os.WriteFile(code, []byte("damaged"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var users sync.WaitGroup
		for n := range 12 {
			users.Go(func() { cached(t, dir, n%4 == 0) })
		}
		users.Wait()
		cached(t, dir, true)
		if log := cached(t, dir, false); log != "" {
			t.Fatalf("round %d left a cache of which a child says %q", round, log)
		}
		left, err := filepath.Glob(filepath.Join(dir, "*.tmp"))
		if err != nil || len(left) > 0 {
			t.Errorf("round %d left %q, %v", round, left, err)
		}
	}
}
