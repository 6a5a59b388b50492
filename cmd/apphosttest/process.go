//go:build unix

package apphosttest

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Processes are the live processes that run this server's binary for it, the
// master included, found by the folder they run in.
func (s *Server) Processes() []int {
	s.t.Helper()
	return processes(s.t, s.Dir)
}

func processes(t testing.TB, dir string) []int {
	t.Helper()
	var pids []int
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Skipf("there is no /proc to find processes in: %v", err)
	}
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscan(e.Name(), &pid); err != nil {
			continue
		}
		cwd, err := os.Readlink(filepath.Join("/proc", e.Name(), "cwd"))
		if err == nil && cwd == dir {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Children are the pids of the live children, by the role that ps shows.
func (s *Server) Children() []int {
	s.t.Helper()
	var pids []int
	for _, pid := range s.Processes() {
		if strings.HasPrefix(CommandLine(pid), "apphost: child") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// ChildrenOf are the pids of a process's live children, wherever they run.
func ChildrenOf(t testing.TB, pid int) []int {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil || len(lists) == 0 {
		t.Skipf("there is no /proc to find processes in: %v", err)
	}
	var pids []int
	for _, list := range lists {
		raw, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(raw)) {
			if child, err := strconv.Atoi(field); err == nil && State(child) != "Z" {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// CommandLine is a process's command line as ps shows it; empty for one that
// has ended.
func CommandLine(pid int) string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.ReplaceAll(string(raw), "\x00", " "))
}

// State is the letter that ps shows for a process, such as Z for a zombie;
// empty for one that is gone.
func State(pid int) string {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "State:"); ok {
			return strings.TrimSpace(rest)[:1]
		}
	}
	return ""
}

// Eventually polls until ok returns true, and fails the test if it does not
// within limit. It is for what sends no event to a test: another process's
// end, a file's change.
func Eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within %s: %s", limit, what)
		case <-tick.C:
		}
	}
}
