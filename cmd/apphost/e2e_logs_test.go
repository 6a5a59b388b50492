package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// wantLogsAt fails unless the server and each child log to a file.
func wantLogsAt(t *testing.T, s *apphosttest.Server, file string) {
	t.Helper()
	if wrong := logsElsewhere(t, s, file); len(wrong) > 0 {
		t.Errorf("want all to log to %s: %s", file, strings.Join(wrong, ", "))
	}
}

// logsElsewhere are the processes that log to another file, and to which.
func logsElsewhere(t *testing.T, s *apphosttest.Server, file string) (wrong []string) {
	t.Helper()
	st := statusOf(t, s)
	pids := []int{st.PID}
	for _, c := range st.Slots {
		pids = append(pids, c.PID)
	}
	if len(pids) < 6 {
		t.Errorf("processes %v", pids)
	}
	for _, pid := range pids {
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", pid)); err == nil && to != file {
			wrong = append(wrong, fmt.Sprintf("process %d to %s", pid, to))
		}
	}
	return wrong
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestE2ELogsAreReopened(t *testing.T) {
	s := newDetached(t)
	pid, _ := detach(t, s, "start")
	log := filepath.Join(s.Dir, "error.log")
	wantLogsAt(t, s, log)
	roundTrip, _ := hold(t, addrOf(t, s, "echo"))

	rename(t, log, log+".1")
	wantRun(t, s, 0, "log files reopened\n", "logs", "reopen")
	wantLogsAt(t, s, log)
	first, err := os.ReadFile(log + ".1")
	if err != nil {
		t.Fatal(err)
	}

	rename(t, log, log+".2")
	if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	apphosttest.Eventually(t, apphosttest.Patience, "the log is reopened", func() bool {
		got, _ := os.ReadFile(log)
		return bytes.Contains(got, []byte("log files reopened"))
	})
	rename(t, log, log+".reload")
	s.Reload() // does it too, and does not wait for the children to follow
	apphosttest.Eventually(t, apphosttest.Patience, "all log to the new file",
		func() bool { return len(logsElsewhere(t, s, log)) == 0 })

	// A folder is in the way.
	rename(t, log, log+".3")
	if err := os.Mkdir(log, 0o700); err != nil {
		t.Fatal(err)
	}
	wantRun(t, s, 1, "open log file "+log, "logs", "reopen")
	wantLogsAt(t, s, log+".3")
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	wantRun(t, s, 0, "log files reopened\n", "logs", "reopen")
	wantLogsAt(t, s, log)
	if now, err := os.ReadFile(log + ".1"); err != nil || !bytes.Equal(now, first) {
		t.Errorf("the first file has got another %d bytes, %v", len(now)-len(first), err)
	}
	if err := roundTrip(); err != nil {
		t.Error(err)
	}
}

// A reload may name another file. It is tried first.
func TestE2EAReloadChangesTheLogFile(t *testing.T) {
	s := newDetached(t)
	detach(t, s, "start")
	config := func(log string) string {
		text, err := os.ReadFile(filepath.Join(s.Dir, "config.toml"))
		if err != nil {
			t.Fatal(err)
		}
		before, rest, _ := strings.Cut(string(text), "file = \"")
		_, after, _ := strings.Cut(rest, "\"")
		return before + "file = \"" + log + "\"" + after
	}
	s.Configure(config("no/such/folder.log"))
	wantRun(t, s, 1, "generation 1 serves on", "reload")
	wantLogsAt(t, s, filepath.Join(s.Dir, "error.log"))
	s.Configure(config(""))
	wantRun(t, s, 1, "log.file: it must be set", "reload")
	s.Configure(config("other.log"))
	s.Reload()
	wantLogsAt(t, s, filepath.Join(s.Dir, "other.log"))
}

// A log that cannot be written costs lines, and nothing else.
func TestE2EAFullDiskForTheLogStopsNothing(t *testing.T) {
	s := apphosttest.New(t, strings.Replace(detachable, "error.log", "/dev/full", 1),
		map[string]string{"hello": helloWasm, "echo": echoWasm})
	detach(t, s, "start")
	s.Reload()
	wantLogsAt(t, s, "/dev/full")
	if err := echo(addrOf(t, s, "echo"), "x"); err != nil {
		t.Error(err)
	}
	wantRun(t, s, 0, "log files reopened\n", "logs", "reopen")
}

func TestE2EStandardErrorIsNotReopened(t *testing.T) {
	s := startPlain(t)
	wantRun(t, s, 1, "set log.file", "logs", "reopen")
}

// Whoever reads the log may stop to; the server goes on, and says how much is
// missing.
func TestE2EAPausedLogReaderStopsNothing(t *testing.T) {
	s := apphosttest.New(t, "[log]\nlevel = \"debug\"\n"+plain,
		map[string]string{"hello": helloWasm, "echo": echoWasm})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	cmd := s.Command("-c", "config.toml")
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	defer func() {
		if _, code := s.Run("-k", "stop", "-c", "config.toml"); code != 0 {
			_ = cmd.Process.Kill()
		}
	}()
	apphosttest.Eventually(t, apphosttest.Patience, "it serves", func() bool {
		out, code := s.Run("status", "--json", "-c", "config.toml")
		return code == 0 && strings.Contains(out, `"serving"`)
	})
	for range 3 {
		s.Reload()
	}
	said := make(chan string, 1)
	go func() {
		var all []byte
		buf := make([]byte, 4096)
		for !bytes.Contains(all, []byte("log records were lost")) {
			n, err := r.Read(buf)
			all = append(all, buf[:n]...)
			if err != nil {
				break
			}
		}
		said <- string(all)
		_, _ = io.Copy(io.Discard, r)
	}()
	s.Reload()
	wantRun(t, s, 0, "stopped", "stop")
	if all := <-said; !strings.Contains(all, `"records":`) {
		t.Errorf("it does not say how much is missing:\n%s", all)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server ended badly: %v", err)
	}
}
