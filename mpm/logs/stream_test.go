package logs

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// A reader that does not read costs the writer one wait, and lines; when it
// reads again, whole lines come.
func TestAReaderThatDoesNotReadHoldsUpNobody(t *testing.T) {
	for name, pair := range map[string]func(t *testing.T) (r, w int){
		"pipe": func(t *testing.T) (int, int) {
			var p [2]int
			if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
			return p[0], p[1]
		},
		"socket": func(t *testing.T) (int, int) {
			p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			return p[0], p[1]
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, w := pair(t)
			defer unix.Close(w)
			reader := os.NewFile(uintptr(r), "reader")
			defer reader.Close()
			s := NewStream(w, 20*time.Millisecond)
			line := []byte(strings.Repeat("x", 5000) + "\n")
			start, lost := time.Now(), 0
			for range 1000 {
				if _, err := s.Write(line); err != nil {
					lost++
				}
			}
			if took := time.Since(start); took > 5*time.Second || lost == 0 {
				t.Errorf("%d lines lost in %s", lost, took)
			}
			if flags, err := unix.FcntlInt(uintptr(w), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
				t.Errorf("others who share the descriptor no longer wait: %x, %v", flags, err)
			}
			read := 0
			buf := make([]byte, 1<<20)
			for read < 5001 {
				n, err := reader.Read(buf[read:])
				if err != nil {
					t.Fatal(err)
				}
				read += n
			}
			if _, err := s.Write([]byte("again\n")); err != nil {
				t.Fatal(err)
			}
			for !strings.HasSuffix(string(buf[:read]), "\nagain\n") {
				n, err := reader.Read(buf[read:])
				if err != nil {
					t.Fatalf("the line after the loss does not stand by itself: %v", err)
				}
				read += n
			}
		})
	}
}

// A full disk may take part of a line.
func TestALineAfterATornOneBeginsAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	table := new(Table)
	files, err := table.Acquire([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Release(files)
	s := NewStream(int(files[0].FD()), -1)
	limitFileSize(t, 10)
	if _, err := s.Write([]byte("0123456789abc\n")); !errors.Is(err, unix.EFBIG) {
		t.Fatalf("a write beyond the limit: %v", err)
	}
	limitFileSize(t, 100)
	if _, err := s.Write([]byte("next\n")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "0123456789\nnext\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRedirectChangesOver(t *testing.T) {
	dir := t.TempDir()
	old, err := os.Create(filepath.Join(dir, "old"))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	table := new(Table)
	files, err := table.Acquire([]string{filepath.Join(dir, "new")})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Release(files)
	s := NewStream(int(old.Fd()), time.Second)
	_, err1 := s.Write([]byte("one\n"))
	err2 := s.Redirect(files[0].FD())
	_, err3 := s.Write([]byte("two\n"))
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"old": "one\n", "new": "two\n"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// A pipe of another user cannot be opened once more, as by a child without
// privileges; what fits a pipe at once does not wait there either.
func TestAPipeThatCannotBeOpenedHoldsUpNobody(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s := NewStream(int(w.Fd()), 20*time.Millisecond)
	_ = s.own.Close()
	s.own, s.polled = sys.None, true
	line := []byte(strings.Repeat("x", 3999) + "\n")
	start, lost := time.Now(), 0
	for range 1000 {
		if _, err := s.Write(line); err != nil {
			lost++
		}
	}
	if took := time.Since(start); took > 5*time.Second || lost < 900 {
		t.Errorf("%d lines lost in %s", lost, took)
	}
	buf := make([]byte, 4000)
	if _, err := io.ReadFull(r, buf); err != nil || string(buf) != string(line) {
		t.Errorf("not a line: %q, %v", buf, err)
	}
	_ = r.Close()
	if _, err := s.Write(line); !errors.Is(err, unix.EPIPE) {
		t.Errorf("without a reader: %v", err)
	}
}
