package image

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm/internal/sys"
)

func TestSectionsSurviveTheTripThroughASealedMemfd(t *testing.T) {
	want := []Section{{"mpm", []byte(`{"a":1}`)}, {"plugin/echo", bytes.Repeat([]byte{7}, 5000)}, {"empty", nil}}
	fd, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if err := Fill(fd, want); err != nil {
		t.Fatal(err)
	}
	if _, err := fd.Write([]byte("x")); !errors.Is(err, unix.EPERM) {
		t.Errorf("write to a sealed image: %v, want EPERM", err)
	}
	img, err := Open(fd)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range want {
		got, ok := img.Section(s.Name)
		if !ok || !bytes.Equal(got, s.Data) {
			t.Errorf("section %s: %d bytes, found %v", s.Name, len(got), ok)
		}
	}
	if _, ok := img.Section("other"); ok {
		t.Error("a section that was never written is there")
	}
	if err := img.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenRefusesWhatIsNotASealedImage(t *testing.T) {
	unsealed, err := sys.Memfd("test", 4096)
	if err != nil {
		t.Fatal(err)
	}
	defer unsealed.Close()
	if _, err := Open(unsealed); err == nil || !strings.Contains(err.Error(), "not a sealed memfd") {
		t.Errorf("unsealed: %v", err)
	}
	if err := unsealed.Seal(sys.AllSeals); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(unsealed); err == nil || !strings.Contains(err.Error(), "does not start as an image") {
		t.Errorf("sealed zeros: %v", err)
	}
}

// The master reads images that a candidate wrote, and a candidate has run
// guest code: no bytes may crash the reader or give it a section outside the
// file.
func FuzzDecode(f *testing.F) {
	good, _ := Encode([]Section{{"mpm", []byte("{}")}, {"host", []byte("{}")}})
	f.Add(good)
	f.Add([]byte(magic))
	f.Add(good[:20])
	f.Fuzz(func(t *testing.T, raw []byte) {
		sections, err := Decode(raw)
		if err != nil {
			return
		}
		for _, s := range sections {
			for range s.Data { // reading it all must not fault
			}
			if len(s.Data) > len(raw) {
				t.Fatalf("section %q is longer than the file", s.Name)
			}
		}
	})
}
