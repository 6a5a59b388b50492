package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// detachable is a configuration for a server that detaches itself.
const detachable = "[log]\nfile = \"error.log\"\n" + plain

func newDetached(t *testing.T) *apphosttest.Server {
	t.Helper()
	config := strings.Replace(detachable, "[mpm]", "[mpm]\npid_file = \"pid\"", 1)
	return apphosttest.New(t, config, map[string]string{"hello": helloWasm, "echo": echoWasm})
}

// detach has -k start a server, which is stopped at the test's end.
func detach(t *testing.T, s *apphosttest.Server, order string) (pid int, said string) {
	t.Helper()
	said, code := s.Run("-k", order, "-c", "config.toml")
	_, number, found := strings.Cut(strings.TrimSpace(said), "started, pid ")
	pid, err := strconv.Atoi(number)
	if code != 0 || !found || err != nil {
		t.Fatalf("-k %s: exit status %d: %s", order, code, said)
	}
	t.Cleanup(func() {
		if out, code := s.Run("-k", "stop", "-c", "config.toml"); code != 0 {
			t.Errorf("-k stop: exit status %d: %s", code, out)
		}
		if state := apphosttest.State(pid); state != "" && state != "Z" {
			t.Errorf("the server is left, in state %s", state)
		}
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(s.Dir, "error.log"))
			t.Logf("log of the server:\n%s", log)
		}
	})
	return pid, said
}

// addrOf is the address of a listener, as the status has it.
func addrOf(t *testing.T, s *apphosttest.Server, listener string) string {
	t.Helper()
	for _, l := range statusOf(t, s).Listeners {
		if l.Name == listener {
			return l.Address
		}
	}
	t.Fatalf("no listener %q", listener)
	return ""
}

func wantRun(t *testing.T, s *apphosttest.Server, wantCode int, want string, args ...string) {
	t.Helper()
	if out, code := s.Run(append(args, "-c", "config.toml")...); code != wantCode || !strings.Contains(out, want) {
		t.Errorf("%v: exit status %d: %s; want %d and %q", args, code, out, wantCode, want)
	}
}

func TestE2EADetachedServer(t *testing.T) {
	s := newDetached(t)
	pid, _ := detach(t, s, "start")
	// The launcher has gone, and what it was started with stays behind.
	if sid, err := unix.Getsid(pid); err != nil || sid != pid {
		t.Errorf("its session is %d, %v", sid, err)
	}
	for name, want := range map[string]string{
		"cwd": "/", "fd/0": "/dev/null", "fd/1": "/dev/null", "fd/2": filepath.Join(s.Dir, "error.log"),
	} {
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", pid, name)); err != nil || to != want {
			t.Errorf("%s is %s, %v; want %s", name, to, err, want)
		}
	}
	if line := apphosttest.CommandLine(pid); line != "apphost: master -c "+filepath.Join(s.Dir, "config.toml") {
		t.Errorf("ps shows %q", line)
	}
	if err := echo(addrOf(t, s, "echo"), "x"); err != nil {
		t.Error(err)
	}
	log, err := os.ReadFile(filepath.Join(s.Dir, "error.log"))
	if err != nil || !strings.Contains(string(log), `"build":"apphost `+version) || !strings.Contains(string(log), `"command_line":"apphost: master -c`) {
		t.Errorf("the log does not say what was started: %v\n%s", err, log)
	}
	if st := statusOf(t, s); st.PID != pid {
		t.Errorf("status of %d, want %d", st.PID, pid)
	}
}

// Each order waits for its result.
func TestE2EOrders(t *testing.T) {
	s := newDetached(t)
	pidFile := filepath.Join(s.Dir, "pid")
	wantRun(t, s, 0, "not running\n", "-k", "stop")
	wantRun(t, s, 0, "not running\n", "-k", "graceful-stop")
	wantRun(t, s, 1, "no server", "stop")
	pid, said := detach(t, s, "graceful")
	if !strings.HasPrefix(said, "not running; starting it\n") {
		t.Error(said)
	}
	if got, err := os.ReadFile(pidFile); err != nil || string(got) != fmt.Sprintf("%d\n", pid) {
		t.Errorf("the pid file has %q, %v", got, err)
	}
	wantRun(t, s, 1, "runs already", "-k", "start")
	if err := os.Remove(pidFile); err != nil {
		t.Fatal(err)
	}
	wantRun(t, s, 0, "generation 2 serves\n", "-k", "graceful")
	if got, err := os.ReadFile(pidFile); err != nil || string(got) != fmt.Sprintf("%d\n", pid) {
		t.Errorf("a reload leaves %q in the pid file, %v", got, err)
	}
	for i, restart := range [][]string{{"-k", "restart"}, {"restart"}} {
		roundTrip, _ := hold(t, addrOf(t, s, "echo"))
		wantRun(t, s, 0, fmt.Sprintf("generation %d serves\n", 3+i), restart...)
		apphosttest.Eventually(t, apphosttest.Patience, "a restart ends what is served", func() bool { return roundTrip() != nil })
	}
	s.Write("plugins/bad.wasm", []byte("no wasm"))
	wantRun(t, s, 1, "generation 4 serves on", "-k", "restart")

	roundTrip, hangUp := hold(t, addrOf(t, s, "echo"))
	stop := s.Command("-k", "graceful-stop", "-c", "config.toml")
	if err := stop.Start(); err != nil {
		t.Fatal(err)
	}
	apphosttest.Eventually(t, apphosttest.Patience, "it stops", func() bool { return statusOf(t, s).State == "stopping gracefully" })
	if err := roundTrip(); err != nil {
		t.Error(err)
	}
	hangUp()
	if err := stop.Wait(); err != nil {
		t.Errorf("-k graceful-stop: %v", err)
	}
	if _, err := os.Stat(pidFile); !os.IsNotExist(err) {
		t.Errorf("the pid file: %v", err)
	}
}

// What stands in the way of a start comes to whoever asked for it.
func TestE2EAFailedDetachedStartSaysWhy(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, tc := range map[string]struct{ config, want string }{
		"configuration":    {detachable + "[mmp]\n", "mmp: unknown key"},
		"port":             {strings.Replace(detachable, "127.0.0.1:0", taken.Addr().String(), 1), "listen on " + taken.Addr().String()},
		"no log":           {plain, "log.file: it must be set"},
		"no folder of log": {strings.Replace(detachable, "error.log", "logs/error.log", 1), "log.file: the folder "},
		"no folder of pid": {strings.Replace(detachable, "[mpm]", "[mpm]\npid_file = \"run/pid\"", 1), "mpm.pid_file: the folder "},
	} {
		t.Run(name, func(t *testing.T) {
			s := apphosttest.New(t, tc.config, map[string]string{"hello": helloWasm, "echo": echoWasm})
			out, code := s.Run("-k", "start", "-c", "config.toml")
			if code != 1 || !strings.Contains(out, tc.want) || !strings.HasSuffix(out, "apphost: the server did not start\n") {
				t.Errorf("exit status %d: %s", code, out)
			}
			wantRun(t, s, 0, "not running", "-k", "stop")
			if left := s.ControlFiles(); len(left) > 0 {
				t.Errorf("control sockets are left: %v", left)
			}
		})
	}
}

// Whoever starts it may think better of it.
func TestE2EAStartCanBeInterrupted(t *testing.T) {
	s := newDetached(t)
	s.Plugin("loops", "testdata/init_loops.wasm")
	start := s.Command("-k", "start", "-c", "config.toml")
	if err := start.Start(); err != nil {
		t.Fatal(err)
	}
	apphosttest.Eventually(t, apphosttest.Patience, "it has begun to start", func() bool { return len(s.ControlFiles()) > 0 })
	if err := start.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := start.Wait(); err == nil {
		t.Error("the start went well")
	}
	wantRun(t, s, 0, "not running", "-k", "stop")
}

// Two servers of different configuration files must not share a pid file.
func TestE2ETwoServersWithOnePIDFile(t *testing.T) {
	s := newDetached(t)
	detach(t, s, "start")
	other := newDetached(t)
	config := strings.Replace(detachable, "[mpm]", fmt.Sprintf("[mpm]\npid_file = %q", filepath.Join(s.Dir, "pid")), 1)
	other.Configure(config)
	out, code := other.Run("-k", "start", "-c", "config.toml")
	if code != 1 || !strings.Contains(out, fmt.Sprintf("process %d holds it", statusOf(t, s).PID)) {
		t.Errorf("exit status %d: %s", code, out)
	}
	if err := echo(addrOf(t, s, "echo"), "x"); err != nil {
		t.Error(err)
	}
	s.Configure(detachable)
	wantRun(t, s, 1, "mpm.pid_file: it cannot change", "reload")

	// One that was killed leaves its file, which is no one's.
	third := newDetached(t)
	pid, _ := detach(t, third, "start")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// Its first thread may be gone before the others let go of its sockets.
	apphosttest.Eventually(t, apphosttest.Patience, "it is gone", func() bool {
		_, code := third.Run("status", "-c", "config.toml")
		return code != 0
	})
	if _, err := os.Stat(filepath.Join(third.Dir, "pid")); err != nil {
		t.Error(err)
	}
	detach(t, third, "start")
}

func TestE2EOrdersThatMakeNoSense(t *testing.T) {
	s := newDetached(t)
	wantRun(t, s, 2, "-k takes one of start, stop, graceful, graceful-stop, restart", "-k", "reload")
	wantRun(t, s, 2, "do not go together", "-k", "start", "-X")
	wantRun(t, s, 2, "do not go together", "-t", "-X")
	wantRun(t, s, 2, "logs takes a command", "logs")
}
