//go:build linux

package mem

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Code is mapped where files can be run, and copied where they cannot.
func TestCodeIsMappedOrCopied(t *testing.T) {
	want := bytes.Repeat([]byte{0xc3, 1, 2, 3, 4, 5, 6}, 3000)
	dirs := map[string]bool{t.TempDir(): false}
	if dir := noexec(t); dir != "" {
		dirs[dir] = true
	}
	for dir, copied := range dirs {
		name := filepath.Join(dir, "code")
		if err := os.WriteFile(name, want, 0o400); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		code, why, err := MapCode(f)
		if err != nil || (why != nil) != copied {
			t.Fatalf("copied %t: %v, %v", copied, why, err)
		}
		if !bytes.Equal(code, want) {
			t.Errorf("copied %t: it is other code", copied)
		}
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		if mapped := strings.Contains(string(maps), name); mapped == copied {
			t.Errorf("copied %t, but mapped %t", copied, mapped)
		}
		if err := unix.Munmap(code); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// noexec is a folder on a file system whose files cannot be run, or "".
func noexec(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if f[2] != "tmpfs" || !strings.Contains(f[3], "noexec") {
			continue
		}
		if dir, err := os.MkdirTemp(f[1], "apphost-test-"); err == nil { //nolint:usetesting // on that file system
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			return dir
		}
	}
	return ""
}

func TestSetBytesSetsAFieldOfAnother(t *testing.T) {
	var s struct{ own []byte }
	SetBytes(reflect.ValueOf(&s).Elem().FieldByName("own"), []byte("set"))
	if string(s.own) != "set" {
		t.Errorf("%q", s.own)
	}
	defer func() {
		if recover() == nil {
			t.Error("it set a field of another type")
		}
	}()
	var other struct{ text string }
	SetBytes(reflect.ValueOf(&other).Elem().FieldByName("text"), nil)
}
