package logs

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// Another program in this process goes on with the files as they are open, and
// closes those that nobody is left to use.
func TestOpenFilesAreHandedOver(t *testing.T) {
	from, err := NewTable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	used, unused := filepath.Join(dir, "used"), filepath.Join(dir, "unused")
	if _, err := from.Acquire([]string{used, unused, ""}); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(from.Export())
	if err != nil {
		t.Fatal(err)
	}
	var handed Handed
	if err := json.Unmarshal(raw, &handed); err != nil {
		t.Fatal(err)
	}
	if len(handed.Files) != 2 || len(handed.Descriptors()) != 3 || handed.Standard <= 2 {
		t.Fatalf("handed over: %+v", handed)
	}
	if err := os.RemoveAll(dir); err != nil { // nothing is opened by name
		t.Fatal(err)
	}
	to := Import(handed)
	defer to.Close()
	files, err := to.Acquire([]string{"", used})
	if err != nil {
		t.Fatal(err)
	}
	to.Tidy()
	if files[0].FD() != handed.Standard {
		t.Errorf("standard error is descriptor %d, want %d", files[0].FD(), handed.Standard)
	}
	if _, err := files[1].FD().Write([]byte("x")); err != nil {
		t.Errorf("a file that is used: %v", err)
	}
	if _, err := handed.Files[1].FD.Write([]byte("x")); !errors.Is(err, unix.EBADF) {
		t.Errorf("a file that nobody uses: %v", err)
	}
}

func TestStandardErrorThatWasGivenUpStaysSo(t *testing.T) {
	from, err := NewTable()
	if err != nil {
		t.Fatal(err)
	}
	from.GiveUpStandardError()
	to := Import(from.Export())
	if _, err := to.Acquire([]string{""}); err == nil || to.standard != sys.None {
		t.Errorf("standard error is descriptor %d, %v", to.standard, err)
	}
}
