package logs

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// limitFileSize bounds how large this process may make a file.
func limitFileSize(t *testing.T, bytes uint64) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(unix.SIGXFSZ)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
	})
}

func TestAFileIsOpenOnceAndUntilItsLastUser(t *testing.T) {
	table := new(Table)
	path := filepath.Join(t.TempDir(), "log")
	first, err := table.Acquire([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	second, err := table.Acquire([]string{path})
	if err != nil || first[0] != second[0] {
		t.Fatalf("opened twice, %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&^0o640 != 0 {
		t.Errorf("the file: %v, %v", info, err)
	}
	table.Release(first)
	if _, err := second[0].FD().Write([]byte("x")); err != nil {
		t.Errorf("after the first user has gone: %v", err)
	}
	fd := second[0].FD()
	table.Release(second)
	if _, err := fd.Write([]byte("x")); !errors.Is(err, unix.EBADF) {
		t.Errorf("after the last user has gone: %v", err)
	}
}

func TestAcquireAndReopenAreAllOrNothing(t *testing.T) {
	table := new(Table)
	dir := t.TempDir()
	good, gone, fifo := filepath.Join(dir, "good"), filepath.Join(dir, "gone", "log"), filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := table.Acquire([]string{good, gone, fifo})
	if err == nil || !strings.Contains(err.Error(), gone) || !strings.Contains(err.Error(), fifo) || len(table.files) > 0 {
		t.Fatalf("%d open files, %v", len(table.files), err)
	}
	if err := table.Reopen(); !errors.Is(err, ErrNoFile) {
		t.Errorf("reopening nothing: %v", err)
	}
	other := filepath.Join(dir, "other")
	files, err := table.Acquire([]string{good, other})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Release(files)
	before := files[0].FD()
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := table.Reopen(); err == nil || !strings.Contains(err.Error(), other) || files[0].FD() != before {
		t.Errorf("descriptor %d, before %d; %v", files[0].FD(), before, err)
	}
}

func TestStandardOutputIsNoFileToReopen(t *testing.T) {
	table, err := NewTable()
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	files, err := table.Acquire([]string{"", Output, Output})
	if err != nil || files[1] != files[2] || files[1].FD() == files[0].FD() {
		t.Fatalf("%v, %v", files, err)
	}
	if err := table.Reopen(); !errors.Is(err, ErrNoFile) || table.Moved() {
		t.Errorf("reopened: %v", err)
	}
	table.Release(files)
	if !table.output.Open() {
		t.Error("released for good")
	}
	table.GiveUpStandardError()
	if _, err := table.Acquire([]string{Output}); err == nil || !strings.Contains(err.Error(), "log.access") {
		t.Errorf("after it was given up: %v", err)
	}
}
