package guest_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/apphost/apphost/host/guest"
)

// engineFile is like a file of the engine with this code.
func engineFile(code []byte) (whole, rest []byte) {
	head, tail := []byte("engine, functions"), []byte("\x00tables")
	length := binary.LittleEndian.AppendUint64(nil, uint64(len(code)))
	sum := binary.LittleEndian.AppendUint32(nil, crc32.Checksum(code, crc32.MakeTable(crc32.Castagnoli)))
	return slices.Concat(head, length, code, sum, tail), slices.Concat(head, make([]byte, 8), tail)
}

// The engine's file is only changed if all around the code is as expected.
func TestOnlyWhatIsKnownIsTakenApart(t *testing.T) {
	code := bytes.Repeat([]byte("machine code"), 10)
	whole, want := engineFile(code)
	if got := guest.WithoutCode(whole, code); !bytes.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	at := bytes.Index(whole, code)
	changed := func(at int) []byte {
		b := bytes.Clone(whole)
		b[at]++
		return b
	}
	for name, file := range map[string][]byte{
		"other code":     changed(at + 5),
		"another length": changed(at - 8),
		"another sum":    changed(at + len(code)),
		"source lines":   changed(at + len(code) + 4),
		"no length":      whole[at-7:],
		"no sum":         whole[:at+len(code)+3],
		"no more":        whole[:at+len(code)+4],
		"empty":          nil,
	} {
		if got := guest.WithoutCode(file, code); got != nil {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// A folder whose code cannot be put into a file of its own is as it was.
func TestAFolderThatIsNotTakenApartIsAsItWas(t *testing.T) {
	code := bytes.Repeat([]byte("machine code"), 10)
	whole, _ := engineFile(code)
	for name, spoil := range map[string]func(folder, engines string) error{
		"no room for the code": func(folder, _ string) error { return os.Mkdir(filepath.Join(folder, "code"), 0o700) },
		"no room for the rest": func(_, engines string) error { return os.Mkdir(engines+".tmp", 0o700) },
	} {
		folder := t.TempDir()
		engines := filepath.Join(folder, "wazero-0", "module")
		if err := os.Mkdir(filepath.Dir(engines), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(engines, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := spoil(folder, engines); err != nil {
			t.Fatal(err)
		}
		if err := guest.SplitCode(folder, code); err == nil {
			t.Errorf("%s: no error", name)
		}
		if now, err := os.ReadFile(engines); err != nil || !bytes.Equal(now, whole) {
			t.Errorf("%s: the engine's file has changed (%v)", name, err)
		}
		if info, err := os.Stat(filepath.Join(folder, "code")); err == nil && !info.IsDir() {
			t.Errorf("%s: there is a file of the code", name)
		}
	}
}
