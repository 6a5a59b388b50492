package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// peakMemory is the most that a process has had in use, in MiB.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var kB int
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			if _, err := fmt.Sscanf(rest, "%d kB", &kB); err != nil {
				t.Fatal(err)
			}
			return kB >> 10
		}
	}
	t.Fatalf("process %d has no VmHWM", pid)
	return 0
}

// wantHarmless has plugins eat memory and recurse without end, and wants that each
// costs its own request or connection.
func wantHarmless(t *testing.T, s *apphosttest.Server, rounds int) {
	t.Helper()
	ask := func(letter string) string {
		return exchangeWith(t, s.Addr("web"), "POST /late_http/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"+letter)
	}
	for range rounds {
		for _, letter := range []string{"g", "d"} {
			if got := ask(letter); !strings.HasPrefix(got, "HTTP/1.1 500 ") {
				t.Fatalf("%s is answered with %q", letter, got)
			}
			conn := dialTo(t, s.Addr("tcp"))
			if _, err := io.WriteString(conn, letter); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(conn); err != nil || len(got) > 0 {
				t.Fatalf("%s is answered with %q, %v", letter, got, err)
			}
			if got := ask("x"); !strings.HasSuffix(got, "fine") {
				t.Fatalf("the next request is answered with %q", got)
			}
		}
	}
	if strings.Contains(s.Log(), "child died") {
		t.Error("a child died")
	}
}

// A plugin that eats memory gets no more than its limit, one that calls itself
// without end is ended, and the child goes on and has its memory back.
func TestE2ERunawayMemoryAndRecursionCostOneRequest(t *testing.T) {
	const most = 64 // MiB; the engine lets a stack grow to some 80
	bothModels(t, late, latePlugins, func(t *testing.T, s *apphosttest.Server) {
		before := s.Children()
		wantHarmless(t, s, 4)
		now := s.Children()
		for _, pid := range before {
			if !slices.Contains(now, pid) {
				continue // it was idle for long, as nothing died
			}
			if got := memoryOf(t, pid) >> 20; got > most && !apphosttest.Race {
				t.Errorf("afterwards child %d has %d MiB", pid, got)
			}
		}
	})
}

// notWithRaceDetector skips a test with a limit of memory, of which the race detector
// wants more than anybody.
func notWithRaceDetector(t *testing.T) {
	t.Helper()
	if apphosttest.Race {
		t.Skip("the server is built with the race detector")
	}
}

// What a plugin may have by its own limit is more than its child may have: that
// limit holds. A child that has used it up for good makes room for another.
func TestE2EMemoryStaysInTheChildsLimit(t *testing.T) {
	notWithRaceDetector(t)
	const limit = 512 // MiB
	config := strings.Replace(late, "[mpm]\n", fmt.Sprintf("[mpm]\nlimit_memory = \"%dMiB\"\n", limit), 1) +
		"[plugin.late_http]\nmemory_limit = \"2GiB\"\n[plugin.late_tcp]\nmemory_limit = \"2GiB\"\n"
	bothModels(t, config, latePlugins, func(t *testing.T, s *apphosttest.Server) {
		wantHarmless(t, s, 3)
		for _, pid := range s.Children() {
			if got := peakMemory(t, pid); got > limit+64 { // and what it shares, such as its program
				t.Errorf("child %d has had %d MiB", pid, got)
			}
		}
	})
}

// The heap of a child never gets smaller: one whose limit is nearly reached, here by
// the stacks of recursions, leaves when it has served.
func TestE2EAChildThatHasUsedUpItsMemoryIsReplaced(t *testing.T) {
	notWithRaceDetector(t)
	s := apphosttest.Start(t, strings.Replace(late, "[mpm]\n", "[mpm]\nlimit_memory = \"320MiB\"\nmin_spare_servers = 1\nmax_spare_servers = 2\n", 1), latePlugins)
	for range 4 {
		conn := dialTo(t, s.Addr("tcp"))
		if _, err := io.WriteString(conn, "d"); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, conn)
	}
	line, ok := s.WaitLog("a child has used up its memory; another one takes its place", nil)
	if !ok || line["limit_memory"] != float64(320<<20) {
		t.Errorf("the log says %v", line)
	}
	roundTrip, hangUp := hold(t, s.Addr("tcp"))
	defer hangUp()
	if err := roundTrip(); err != nil {
		t.Error(err)
	}
}

// A limit that is too low for the plugins is no crash loop but a reason.
func TestE2EALimitOfMemoryThatIsTooLow(t *testing.T) {
	s := startPlain(t)
	s.Write("plugins/large.toml", []byte("memory_limit = \"256MiB\"\n"))
	s.Configure(strings.Replace(plain, "[mpm]\n", "[mpm]\nlimit_memory = \"256MiB\"\n", 1))
	s.Plugin("large", "testdata/large_memory.wasm")
	if out, code := s.Run("reload", "-c", "config.toml"); code == 0 || !strings.Contains(out, "mpm.limit_memory: once the plugins are loaded") {
		t.Errorf("exit code %d, output:\n%s", code, out)
	}
	if err := echo(s.Addr("echo"), "ping"); err != nil {
		t.Errorf("what served before: %v", err)
	}
}
