//go:build unix

// Package apphosttest starts the real server for tests: the apphost binary,
// built once for each test process, with a folder of its own for
// configuration, plugins and control socket, on ports that the kernel picks.
// A server and everything it started is gone when the test ends, or the test
// fails.
package apphosttest

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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
	// ExtraFiles are what each command is started with beside the standard
	// files, and Env is added to its environment.
	ExtraFiles []*os.File
	Env        []string
	// Flags are further ones to start the master with.
	Flags []string
	// Terminal, if set, is the terminal to start the master on. Detached
	// starts it on none, whatever the test runs on.
	Terminal *os.File
	Detached bool
	// Attr, if set, changes how the master is started.
	Attr func(*syscall.SysProcAttr)
	// Shell, if set, is a script for sh that executes each command, which is
	// "$0" "$@".
	Shell string

	binary  string // what is run; the shared one if empty
	nobody  bool   // run as
	runtime string // XDG_RUNTIME_DIR; short, as a socket's path must be
	t       testing.TB
	cmd     *exec.Cmd
	log     *logReader
	ended   chan struct{} // closed when the master has ended
	err     error         // how, set before ended is closed
}

// New makes a folder with a configuration and plugins and starts nothing yet.
// Plugins are paths of .wasm files by the plugin's name. See Configure for the
// cache of compiled code.
func New(t testing.TB, toml string, plugins map[string]string) *Server {
	t.Helper()
	runtime, err := os.MkdirTemp("", "ah-") //nolint:usetesting // T.TempDir's path is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(runtime) })
	s := &Server{t: t, Dir: t.TempDir(), runtime: runtime}
	s.Configure(toml)
	if err := os.Mkdir(filepath.Join(s.Dir, "plugins"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, path := range plugins {
		s.Plugin(name, path)
	}
	return s
}

// OwnBinary gives the server a copy of the binary, apphost in its folder, for a
// test to tamper with. Call it before Start.
func (s *Server) OwnBinary() {
	s.t.Helper()
	raw, err := os.ReadFile(build(s.t).binary)
	if err != nil {
		s.t.Fatal(err)
	}
	s.binary = filepath.Join(s.Dir, "apphost")
	if err := os.WriteFile(s.binary, raw, 0o700); err != nil {
		s.t.Fatal(err)
	}
}

// Unprivileged makes a server that root starts run as nobody, who gets the
// server's folders. Call it before Start.
func (s *Server) Unprivileged() {
	s.t.Helper()
	if os.Getuid() != 0 {
		return
	}
	s.nobody = true
	if err := os.Chmod(filepath.Dir(s.Dir), 0o755); err != nil {
		s.t.Fatal(err)
	}
	for _, dir := range []string{s.Dir, s.runtime} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Chown(path, NobodyID, NobodyID)
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// NobodyID is the user and group that own nothing; see Unprivileged.
const NobodyID = 65534

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
	if s.nobody {
		if err := os.Chown(path, NobodyID, NobodyID); err != nil {
			s.t.Fatal(err)
		}
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
	s.cmd = s.Command(append(slices.Clone(s.Flags), "-c", "config.toml")...)
	s.log = newLogReader()
	// A pipe of our own: with one of package exec's, Wait would wait for the
	// children too, who write to the same log and may outlive the master.
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd.Stderr = w
	if s.Terminal != nil {
		s.cmd.Stdin = s.Terminal
	}
	if s.cmd.SysProcAttr == nil {
		s.cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	if s.Attr != nil {
		s.Attr(s.cmd.SysProcAttr)
	}
	if s.Terminal != nil || s.Detached {
		s.cmd.SysProcAttr.Setsid, s.cmd.SysProcAttr.Setctty = true, s.Terminal != nil
	}
	err = s.cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		s.t.Fatal(err)
	}
	s.PID = s.cmd.Process.Pid
	go func(log *logReader) { // Start may be called again before this ends
		defer r.Close()
		_, _ = io.Copy(log, r)
		log.end()
	}(s.log)
	ended := make(chan struct{})
	s.ended = ended
	go func() {
		s.err = s.cmd.Wait()
		close(ended)
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

// ControlFiles are the names in the folder of control sockets.
func (s *Server) ControlFiles() []string {
	s.t.Helper()
	names, err := filepath.Glob(filepath.Join(s.runtime, "apphost", "*"))
	if err != nil {
		s.t.Fatal(err)
	}
	return names
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

// Command is a run of the binary in the server's folder.
func (s *Server) Command(args ...string) *exec.Cmd {
	s.t.Helper()
	binary := s.binary
	if binary == "" {
		binary = build(s.t).binary
	}
	cmd := exec.Command(binary, args...)
	if s.Shell != "" {
		cmd = exec.Command("sh", append([]string{"-c", s.Shell, binary}, args...)...)
	}
	cmd.Dir, cmd.ExtraFiles = s.Dir, s.ExtraFiles
	cmd.Env = append(append(os.Environ(), "XDG_RUNTIME_DIR="+s.runtime, "GORACE=atexit_sleep_ms=0"), s.Env...)
	if s.nobody {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: NobodyID, Gid: NobodyID}}
	}
	return cmd
}

// Run runs a command of the binary, such as "reload -c config.toml", and
// returns what it printed and its exit code.
func (s *Server) Run(args ...string) (output string, exitCode int) {
	s.t.Helper()
	cmd := s.Command(args...)
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
