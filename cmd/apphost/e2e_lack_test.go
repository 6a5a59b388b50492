package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// limit sets a soft limit of a running process, and gives it back what it had
// when the returned function is called. Only its own user may do that, where
// root is not what it was.
func limit(t *testing.T, pid, user, resource int, to uint64) (undo func()) {
	t.Helper()
	set := func(to *unix.Rlimit, before *unix.Rlimit) {
		t.Helper()
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // for ever: the thread has another user, and ends with this
			if user != os.Getuid() {
				id := uintptr(user)
				_, _, _ = unix.RawSyscall(unix.SYS_SETRESGID, id, id, id)
				_, _, _ = unix.RawSyscall(unix.SYS_SETRESUID, id, id, id)
			}
			done <- unix.Prlimit(pid, resource, to, before)
		}()
		if err := <-done; err != nil {
			t.Fatalf("set a limit: %v", err)
		}
	}
	var own unix.Rlimit
	set(nil, &own)
	set(&unix.Rlimit{Cur: to, Max: own.Max}, nil)
	return func() {
		t.Helper()
		set(&own, nil)
	}
}

// The kernel has no more processes for this user, and children die. The master
// goes on, with what it has, at leisure; and obeys at once.
func TestE2EAMasterWithoutProcessesGoesOn(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to run the server as a user without other processes of consequence")
	}
	s := apphosttest.New(t, plain, map[string]string{"hello": helloWasm, "echo": echoWasm})
	s.Unprivileged()
	s.Configure(strings.Replace(plain, `"CACHE"`, `"cache"`, 1))
	s.Start()
	undo := limit(t, s.PID, apphosttest.NobodyID, unix.RLIMIT_NPROC, 1)
	victims := s.Children()
	for _, pid := range victims[:3] {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	if _, ok := s.WaitLog("cannot spawn child", nil); !ok {
		t.Fatalf("a child could be spawned:\n%s", s.Log())
	}
	for range 20 {
		if err := echo(s.Addr("echo"), "ping"); err != nil {
			t.Fatalf("with fewer children: %v", err)
		}
	}
	if out, code := s.Run("reload", "-c", "config.toml"); code != 1 || !strings.Contains(out, "generation 1 serves on") {
		t.Errorf("reload: exit status %d: %s", code, out)
	}
	undo()
	apphosttest.Eventually(t, apphosttest.Patience, "there are as many children as before", func() bool {
		return len(s.Children()) >= len(victims)
	})
	s.Reload()

	limit(t, s.PID, apphosttest.NobodyID, unix.RLIMIT_NPROC, 1)
	for _, pid := range s.Children()[:3] {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	var paused time.Duration
	apphosttest.Eventually(t, apphosttest.Patience, "the pause is long", func() bool {
		paused = time.Duration(statusOf(t, s).Spawning.PausedSeconds * float64(time.Second))
		return paused > 1500*time.Millisecond
	})
	begun := time.Now()
	s.Signal(syscall.SIGTERM)
	if err := s.Wait(); err != nil {
		t.Errorf("the server ended badly: %v", err)
	}
	if took := time.Since(begun); took > paused {
		t.Errorf("it ended after %s, and not within the pause of %s", took, paused)
	}
}

// The master has no descriptor left. What would need one fails with a reason,
// and everything is as before once there are some again.
func TestE2EAMasterWithoutDescriptorsGoesOn(t *testing.T) {
	s := startPlain(t)
	open, err := filepath.Glob("/proc/" + strconv.Itoa(s.PID) + "/fd/*")
	if err != nil || len(open) == 0 {
		t.Skipf("the master's descriptors are not known: %v", err)
	}
	undo := limit(t, s.PID, os.Getuid(), unix.RLIMIT_NOFILE, uint64(len(open))+1) // one for whoever asks
	out, code := s.Run("reload", "-c", "config.toml")
	if code != 1 || !strings.Contains(out, "too many open files") || !strings.Contains(out, "generation 1 serves on") {
		t.Errorf("reload: exit status %d: %s", code, out)
	}
	for _, pid := range s.Children()[:2] {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	for range 20 {
		if err := echo(s.Addr("echo"), "ping"); err != nil {
			t.Fatal(err)
		}
	}
	undo()
	s.Reload()

	// None at all, so that even a question has to wait.
	undo = limit(t, s.PID, os.Getuid(), unix.RLIMIT_NOFILE, 3)
	answer := make(chan string, 1)
	cmd := s.Command("status", "-c", "config.toml")
	go func() {
		out, _ := cmd.CombinedOutput()
		answer <- string(out)
	}()
	if err := echo(s.Addr("echo"), "ping"); err != nil {
		t.Error(err)
	}
	undo()
	select {
	case out := <-answer:
		if !strings.Contains(out, "serving") {
			t.Errorf("status: %s", out)
		}
	case <-time.After(apphosttest.Patience):
		t.Error("a question was never answered")
	}
}

// With next to no descriptors children serve as ever, also clients that keep
// their end open after they were served, and none leaves for it.
func TestE2EChildrenWithFewDescriptorsServe(t *testing.T) {
	s := startPlain(t)
	children := s.Children()
	for _, pid := range children {
		limit(t, pid, os.Getuid(), unix.RLIMIT_NOFILE, highestDescriptor(t, pid)+2)
	}
	for i := range 150 {
		conn, err := net.Dial("tcp", s.Addr("web"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(apphosttest.Patience))
		if _, err := io.WriteString(conn, "GET /hello/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(conn); err != nil || !strings.Contains(string(got), "Hello from WebAssembly!") {
			t.Fatalf("connection %d: %q, %v", i, got, err)
		}
	}
	if now := s.Children(); !slices.Equal(now, children) {
		t.Errorf("children %v became %v", children, now)
	}
}

// highestDescriptor is the largest number that a process has in use.
func highestDescriptor(t *testing.T, pid int) uint64 {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	highest := uint64(0)
	for _, e := range entries {
		fd, err := strconv.ParseUint(e.Name(), 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		highest = max(highest, fd)
	}
	return highest
}
