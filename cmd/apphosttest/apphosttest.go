// Package apphosttest starts the real server for tests: the apphost binary,
// built once for each test process, with a folder of its own for
// configuration, plugins and control socket, on ports that the kernel picks.
// A server and everything it started is gone when the test ends, or the test
// fails.
package apphosttest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long a test waits for something that should happen at once.
const Patience = 30 * time.Second

// Server is a server under test.
type Server struct {
	// Dir holds config.toml and the folder plugins.
	Dir string
	// PID is the master's.
	PID int

	t     testing.TB
	cmd   *exec.Cmd
	log   *logReader
	ended chan struct{} // closed when the master has ended
	err   error         // how, set before ended is closed
}

// New makes a folder with a configuration and plugins and starts nothing yet.
// Plugins are paths of .wasm files by the plugin's name. See Configure for the
// cache of compiled code.
func New(t testing.TB, toml string, plugins map[string]string) *Server {
	t.Helper()
	s := &Server{t: t, Dir: t.TempDir()}
	s.Configure(toml)
	if err := os.Mkdir(filepath.Join(s.Dir, "plugins"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, path := range plugins {
		s.Plugin(name, path)
	}
	return s
}

// Plugin puts a .wasm file into the plugin folder under a name.
func (s *Server) Plugin(name, path string) {
	s.t.Helper()
	wasm, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Write(filepath.Join("plugins", name+".wasm"), wasm)
}

// Configure replaces config.toml. CACHE in it stands for the cache of compiled
// code that the tests of a process share.
func (s *Server) Configure(toml string) {
	s.t.Helper()
	s.Write("config.toml", []byte(strings.ReplaceAll(toml, "CACHE", build(s.t).cache)))
}

// Write replaces a file of the server's folder, at once.
func (s *Server) Write(name string, data []byte) {
	s.t.Helper()
	path := filepath.Join(s.Dir, name)
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		s.t.Fatal(err)
	}
}

// Start starts the server and waits until it serves.
func Start(t testing.TB, toml string, plugins map[string]string) *Server {
	t.Helper()
	s := New(t, toml, plugins)
	s.Start()
	return s
}

// Start starts the server and waits until it serves.
func (s *Server) Start() {
	s.t.Helper()
	s.cmd = s.command("-c", "config.toml")
	s.log = newLogReader()
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.PID = s.cmd.Process.Pid
	s.ended = make(chan struct{})
	go func() {
		s.err = s.cmd.Wait()
		s.log.end()
		close(s.ended)
	}()
	s.t.Cleanup(s.cleanup)
	if _, ok := s.WaitLog("serving", nil); !ok {
		s.t.Fatalf("the server does not serve; its log:\n%s", s.Log())
	}
}

func (s *Server) cleanup() {
	s.Stop()
	if s.t.Failed() {
		s.t.Logf("log of the server:\n%s", s.Log())
	}
}

// Stop ends the server, which must end well.
func (s *Server) Stop() {
	s.t.Helper()
	select {
	case <-s.ended:
		return
	default:
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	if err := s.Wait(); err != nil {
		s.t.Errorf("the server ended badly: %v", err)
	}
	if left := s.Processes(); len(left) > 0 {
		s.t.Errorf("processes are left after the stop: %v", left)
	}
}

// Kill ends the master, and nothing else, with SIGKILL.
func (s *Server) Kill() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	_ = s.Wait()
}

// Wait waits until the master has ended and returns how.
func (s *Server) Wait() error {
	s.t.Helper()
	select {
	case <-s.ended:
		return s.err
	case <-time.After(Patience):
		s.t.Fatalf("the server did not end within %s; its log:\n%s", Patience, s.Log())
		return nil
	}
}

// Signal sends a signal to the master.
func (s *Server) Signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// command is a run of the binary in the server's folder.
func (s *Server) command(args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(build(s.t).binary, args...)
	cmd.Dir = s.Dir
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+s.Dir, "GORACE=atexit_sleep_ms=0")
	return cmd
}

// Run runs a command of the binary, such as "reload -c config.toml", and
// returns what it printed and its exit code.
func (s *Server) Run(args ...string) (output string, exitCode int) {
	s.t.Helper()
	cmd := s.command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	timer := time.AfterFunc(2*Patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait()
	return out.String(), cmd.ProcessState.ExitCode()
}

// Reload reloads the server, which must succeed.
func (s *Server) Reload() {
	s.t.Helper()
	if out, code := s.Run("reload", "-c", "config.toml"); code != 0 {
		s.t.Fatalf("reload: exit status %d: %s", code, out)
	}
}

// Addr is the address of a listener, HOST:PORT.
func (s *Server) Addr(listener string) string {
	s.t.Helper()
	entry, ok := s.WaitLog("listening", func(e map[string]any) bool { return e["listener"] == listener })
	if !ok {
		s.t.Fatalf("no listener %q in the log:\n%s", listener, s.Log())
	}
	return fmt.Sprint(entry["address"])
}

// Log is everything the server has logged so far.
func (s *Server) Log() string { return s.log.text() }

// WaitLog waits for a log record with a message for which match, if given,
// returns true. It reports false when the server ends without one or patience
// does.
func (s *Server) WaitLog(message string, match func(map[string]any) bool) (map[string]any, bool) {
	return s.log.wait(message, match)
}

// logReader collects the server's log.
type logReader struct {
	mu      sync.Mutex
	raw     bytes.Buffer
	partial []byte
	entries []map[string]any
	changed chan struct{} // closed and replaced at each change
	over    bool
}

var _ io.Writer = (*logReader)(nil)

func newLogReader() *logReader {
	return &logReader{changed: make(chan struct{})}
}

func (l *logReader) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.raw.Write(p)
	l.partial = append(l.partial, p...)
	for {
		line, rest, found := bytes.Cut(l.partial, []byte("\n"))
		if !found {
			break
		}
		var entry map[string]any
		if json.Unmarshal(line, &entry) == nil {
			l.entries = append(l.entries, entry)
		}
		l.partial = append([]byte(nil), rest...)
	}
	l.wakeLocked()
	return len(p), nil
}

func (l *logReader) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.wakeLocked()
}

func (l *logReader) wakeLocked() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *logReader) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.raw.String()
}

func (l *logReader) wait(message string, match func(map[string]any) bool) (map[string]any, bool) {
	timeout := time.After(Patience)
	for seen := 0; ; {
		l.mu.Lock()
		entries, changed, over := l.entries[seen:], l.changed, l.over
		seen = len(l.entries)
		l.mu.Unlock()
		for _, e := range entries {
			if e["msg"] == message && (match == nil || match(e)) {
				return e, true
			}
		}
		if over {
			return nil, false
		}
		select {
		case <-changed:
		case <-timeout:
			return nil, false
		}
	}
}

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
