package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// inContainer starts the server in namespaces of its own, after a script that
// sets them up.
func inContainer(t *testing.T, s *apphosttest.Server, flags uintptr, script string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make namespaces")
	}
	probe := exec.Command("true")
	probe.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	if err := probe.Run(); err != nil {
		t.Skipf("namespaces cannot be made here: %v", err)
	}
	s.Attr = func(attr *syscall.SysProcAttr) { attr.Cloneflags = flags }
	// Mounts are for the new namespace only: commands run outside of it.
	home, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	s.Shell = `if [ "$(readlink /proc/self/ns/mnt)" != "` + home + `" ]; then set -e; mount --make-rprivate /; ` + script + `; fi; exec "$0" "$@"`
}

// asProcess1 makes the server process 1, and leaves it a child that is not its
// own and waits at the named pipe orphan for its end.
func asProcess1(t *testing.T, s *apphosttest.Server) {
	t.Helper()
	if err := syscall.Mkfifo(filepath.Join(s.Dir, "orphan"), 0o600); err != nil {
		t.Fatal(err)
	}
	inContainer(t, s, syscall.CLONE_NEWPID|syscall.CLONE_NEWNS,
		`mount -t proc proc /proc; sh -c "read x < orphan || exit 0" & sh -c "(exec cat orphan > orphan.out) & exit 0"`)
}

// orphans are the children of the master that are not its own.
func orphans(t *testing.T, s *apphosttest.Server) []int {
	t.Helper()
	return slices.DeleteFunc(apphosttest.ChildrenOf(t, s.PID), func(pid int) bool {
		return strings.HasPrefix(apphosttest.CommandLine(pid), "apphost: ")
	})
}

// zombies are the children of the master that wait to be reaped.
func zombies(t *testing.T, s *apphosttest.Server) (pids []int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		var pid int
		if _, err := fmt.Sscanf(path, "/proc/%d/status", &pid); err != nil {
			t.Fatal(err)
		}
		if is := processStatus(pid); is["PPid"] == fmt.Sprint(s.PID) && strings.HasPrefix(is["State"], "Z") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// As process 1 of a container the server gets children that it never started,
// and reaps them; signals and exit codes are as ever.
func TestE2EProcess1ReapsOrphansAndStops(t *testing.T) {
	s := apphosttest.New(t, plain, map[string]string{"hello": helloWasm, "echo": echoWasm})
	asProcess1(t, s)
	s.Start()
	if entry, _ := s.WaitLog("serving", nil); entry["pid"] != 1.0 {
		t.Fatalf("the server is process %v", entry["pid"])
	}
	if n := len(orphans(t, s)); n != 2 {
		t.Fatalf("%d children are not the server's own, want 2", n)
	}
	// Both wait for somebody to open the other end, and then for its end.
	pipe, err := os.OpenFile(filepath.Join(s.Dir, "orphan"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = pipe.Close()
	apphosttest.Eventually(t, apphosttest.Patience, "the orphans have ended and are reaped", func() bool {
		return len(orphans(t, s)) == 0 && len(zombies(t, s)) == 0
	})
	if err := echo(s.Addr("echo"), "ping"); err != nil {
		t.Error(err)
	}
	s.Reload()
	s.Stop() // by TERM, with exit code 0
	if strings.Contains(s.Log(), `"level":"ERROR"`) {
		t.Errorf("there are errors:\n%s", s.Log())
	}
}

// A container that is started again has the same pids, and finds what the one
// before has left.
func TestE2EAContainerStartsAgainAfterAKill(t *testing.T) {
	s := apphosttest.New(t, plain, map[string]string{"hello": helloWasm, "echo": echoWasm})
	inContainer(t, s, syscall.CLONE_NEWPID|syscall.CLONE_NEWNS, "mount -t proc proc /proc")
	for range 3 {
		s.Start()
		if err := echo(s.Addr("echo"), "ping"); err != nil {
			t.Error(err)
		}
		s.Kill()
		apphosttest.Eventually(t, apphosttest.Patience, "the kernel has ended the container", func() bool { return len(s.Processes()) == 0 })
	}
	s.Configure("[mpm]\nstart_servers = 0\n")
	cmd := s.Command("-c", "config.toml")
	cmd.SysProcAttr = new(syscall.SysProcAttr)
	s.Attr(cmd.SysProcAttr)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "mpm.start_servers: ") {
		t.Errorf("a start that fails: %v:\n%s", err, out)
	}
}

// What containers do without: a /proc to write to, and /dev but the null
// device.
func TestE2EServesWithoutDevices(t *testing.T) {
	s := apphosttest.New(t, plain, map[string]string{"hello": helloWasm, "echo": echoWasm})
	inContainer(t, s, syscall.CLONE_NEWNS, `mkdir dev; mount -t tmpfs tmpfs dev; touch dev/null; mount --bind /dev/null dev/null;
		mount --rbind dev /dev; mount -o remount,bind,ro /proc`)
	s.Start()
	if entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/root/dev", s.PID)); err != nil || len(entries) != 1 {
		t.Fatalf("in /dev: %v, %v", entries, err)
	}
	if _, err := get("http://" + s.Addr("web") + "/hello/"); err != nil {
		t.Error(err)
	}
	if err := echo(s.Addr("echo"), "ping"); err != nil {
		t.Error(err)
	}
	s.Reload()
	if strings.Contains(s.Log(), `"level":"ERROR"`) {
		t.Errorf("there are errors:\n%s", s.Log())
	}
}

// Children cannot be started without /proc, and the server says so at once.
func TestE2EWithoutProcTheReasonIsPlain(t *testing.T) {
	s := apphosttest.New(t, plain, map[string]string{"hello": helloWasm, "echo": echoWasm})
	inContainer(t, s, syscall.CLONE_NEWNS, "mount -t tmpfs tmpfs /proc")
	for _, args := range [][]string{{"-c", "config.toml"}, {"-c", "config.toml", "-t"}} {
		cmd := s.Command(args...)
		cmd.SysProcAttr = new(syscall.SysProcAttr)
		s.Attr(cmd.SysProcAttr)
		out, err := cmd.CombinedOutput()
		said := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(out)), "\n"), func(line string) bool {
			return strings.HasPrefix(line, "==") // the race detector, who misses it too
		})
		if err == nil || len(said) != 1 || !strings.Contains(said[0], "is /proc mounted?") {
			t.Errorf("apphost %q: %v:\n%s", args, err, out)
		}
	}
}
