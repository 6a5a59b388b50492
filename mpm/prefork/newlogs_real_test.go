package prefork

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
)

// clerk writes a line for each connection to each of its logs.
type clerk struct{ child *Child }

func (h clerk) ServeConn(ctx context.Context, c mpm.Conn) {
	line := fmt.Appendf(nil, "%d %d\n", os.Getpid(), c.ID())
	_, err := h.child.ErrorLog().Write(line)
	_, err2 := h.child.Log("access").Write(line)
	if err := errors.Join(err, err2); err != nil {
		fmt.Fprintf(c, "no-log 0\n")
		return
	}
	greeter("logs").ServeConn(ctx, c)
}

// logServer has an error log and another one.
func logServer(t *testing.T) (s *server, files []string) {
	t.Helper()
	dir := t.TempDir()
	files = []string{filepath.Join(dir, "error.log"), filepath.Join(dir, "access.log")}
	s = startServer(t, func(c *testConfig) {
		c.Greeting = "logs"
		c.Options.ErrorLog, c.Options.Logs = files[0], []mpm.Log{{Name: "access", Path: files[1]}}
	})
	return s, files
}

// Each line is in one file once, whichever files there were meanwhile, and a
// file gets none after the reopening that followed its renaming was answered.
func TestReopeningUnderLoadLosesNoLine(t *testing.T) {
	s, files := logServer(t)
	held, _, _, err := s.dial() // its child is busy all the time, with nothing
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	stop, clients := s.clients(4, "logs")
	const times = 30
	sizes := make(map[string]int64)
	for i := range times {
		if i == times/2 {
			if r := s.ask(Reload); len(r.Errors) > 0 {
				t.Fatalf("reload: %+v", r)
			}
		}
		for _, f := range files {
			if err := os.Rename(f, fmt.Sprintf("%s.%d", f, i)); err != nil {
				t.Fatal(err)
			}
		}
		if r := s.ask(ReopenLogs); len(r.Errors) > 0 {
			t.Fatalf("reopen: %+v", r)
		}
		for _, f := range files {
			old := fmt.Sprintf("%s.%d", f, i)
			sizes[old] = sizeOf(t, old)
		}
	}
	close(stop)
	clients.Wait()
	for old, size := range sizes {
		if now := sizeOf(t, old); now != size {
			t.Errorf("%s got %d bytes after it was done with", old, now-size)
		}
	}
	s.stop()
	for _, f := range files {
		wantEachLineOnce(t, f)
	}
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// wantEachLineOnce reads all files that a log was, and wants the numbers of each
// child's connections without a gap or a repetition.
func wantEachLineOnce(t *testing.T, log string) {
	t.Helper()
	all, err := filepath.Glob(log + "*")
	if err != nil {
		t.Fatal(err)
	}
	seen, highest, filled := make(map[string]bool), make(map[int]int), 0
	for _, name := range all {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		before := len(seen)
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var pid, id int
			if n, _ := fmt.Sscanf(lines.Text(), "%d %d", &pid, &id); n != 2 || seen[lines.Text()] {
				t.Errorf("%s: line %q is no line, or is there twice", name, lines.Text())
			}
			seen[lines.Text()] = true
			highest[pid] = max(highest[pid], id)
		}
		_ = f.Close()
		if len(seen) > before {
			filled++
		}
	}
	total := 0
	for _, n := range highest {
		total += n
	}
	if total != len(seen) || filled < 3 {
		t.Errorf("%s: %d lines in %d files, want %d in at least 3", log, len(seen), filled, total)
	}
}

func TestLogsThatCannotBeOpenedStayAsTheyAre(t *testing.T) {
	s, files := logServer(t)
	if err := os.Rename(files[0], files[0]+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(files[1]); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(files[1], 0o700); err != nil { // no file can be made there
		t.Fatal(err)
	}
	r := s.ask(ReopenLogs)
	if len(r.Errors) != 1 || !strings.Contains(r.Errors[0], files[1]) {
		t.Fatalf("%+v", r)
	}
	before := sizeOf(t, files[0]+".old")
	if err := s.ping("logs"); err != nil {
		t.Fatal(err)
	}
	if sizeOf(t, files[0]+".old") <= before {
		t.Error("the old log is not written to any longer")
	}
}

func TestAStoppedChildThatDoesNotFollowIsNamed(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for a stopped child")
	}
	s, files := logServer(t)
	conn, _, pid, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(files[0], files[0]+".old"); err != nil {
		t.Fatal(err)
	}
	r := s.ask(ReopenLogs)
	if len(r.Errors) != 1 || !strings.Contains(r.Errors[0], fmt.Sprintf("child %d in slot", pid)) {
		t.Errorf("%+v", r)
	}
	if err := unix.Kill(pid, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if r := s.ask(ReopenLogs); len(r.Errors) > 0 {
		t.Errorf("when it goes on: %+v", r)
	}
	if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", pid)); err != nil || to != files[0] {
		t.Errorf("it logs to %s, %v; want %s", to, err, files[0])
	}
}
