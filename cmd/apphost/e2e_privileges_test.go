package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// nobodyID is the user and group that own nothing.
const nobodyID = 65534

// asNobody is a configuration for root, whose plugins run as nobody.
func asNobody(config, more string) string {
	return strings.Replace(config, "[mpm]", fmt.Sprintf("[mpm]\nuser = \"%d\"\ngroup = \"%d\"\n%s", nobodyID, nobodyID, more), 1)
}

func onlyRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can start processes as another user")
	}
}

// processStatus is what /proc says of a process; empty for one that has ended.
func processStatus(pid int) map[string]string {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	fields := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		key, value, _ := strings.Cut(line, ":")
		fields[key] = strings.Join(strings.Fields(value), " ")
	}
	return fields
}

// wantNobody checks that a process is nobody's and can do nothing.
func wantNobody(t *testing.T, pid int) {
	t.Helper()
	is := processStatus(pid)
	if len(is) == 0 {
		return // it has ended
	}
	id := strconv.Itoa(nobodyID)
	for key, want := range map[string]string{
		"Uid": strings.Join([]string{id, id, id, id}, " "), "Gid": strings.Join([]string{id, id, id, id}, " "), "Groups": id,
		"CapInh": "0000000000000000", "CapPrm": "0000000000000000", "CapEff": "0000000000000000", "CapAmb": "0000000000000000",
		"NoNewPrivs": "1",
	} {
		if is[key] != want {
			t.Errorf("process %d (%s): %s is %q, want %q", pid, apphosttest.CommandLine(pid), key, is[key], want)
		}
	}
}

// wantChildrenNobodys checks all children. One that was started a moment ago may
// have to change its root first.
func wantChildrenNobodys(t *testing.T, s *apphosttest.Server) {
	t.Helper()
	children := s.Children()
	if len(children) == 0 {
		t.Error("there are no children")
	}
	for _, pid := range children {
		apphosttest.Eventually(t, apphosttest.Patience, "the child is not root", func() bool {
			return !strings.HasPrefix(processStatus(pid)["Uid"], "0")
		})
		wantNobody(t, pid)
	}
}

// lowPort is the address of a port that only root may take, and nobody has.
func lowPort(t *testing.T) string {
	t.Helper()
	for port := 1023; port > 600; port-- {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Skip("no port below 1024 is free")
	return ""
}

// Root starts the server, reads what only root may, and takes a port that only
// root may; what runs plugins is nobody's. It stays so when a child is replaced
// and over reloads, whether compiled code is there or not.
func TestE2EPluginsRunAsTheUser(t *testing.T) {
	onlyRoot(t)
	for name, tc := range map[string]struct{ chroot, cache string }{
		"same root":    {"", "CACHE"},
		"changed root": {`chroot = "."`, "compiled"},
	} {
		t.Run(name, func(t *testing.T) {
			config := strings.Replace(asNobody(plain, tc.chroot), "127.0.0.1:0", lowPort(t), 1)
			config = strings.Replace(config, "CACHE", tc.cache, 1)
			s := apphosttest.New(t, config, map[string]string{"hello": helloWasm, "echo": echoWasm})
			if err := os.Chmod(filepath.Join(s.Dir, "plugins"), 0o700); err != nil {
				t.Fatal(err)
			}
			s.Start()
			serves := func() {
				t.Helper()
				wantChildrenNobodys(t, s)
				if _, err := get("http://" + s.Addr("web") + "/hello/"); err != nil {
					t.Error(err)
				}
				if err := echo(s.Addr("echo"), "ping"); err != nil {
					t.Error(err)
				}
			}
			serves()
			before := s.Children()
			if err := syscall.Kill(before[0], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			apphosttest.Eventually(t, apphosttest.Patience, "the child is replaced", func() bool {
				now := s.Children()
				return !slices.Contains(now, before[0]) && len(now) >= len(before)
			})
			serves()
			s.Reload()
			serves()
			if tc.cache != "CACHE" { // which others use
				folder := filepath.Join(s.Dir, tc.cache, fmt.Sprintf("uid-%d", nobodyID))
				wantOwned(t, folder)
				if err := os.RemoveAll(filepath.Dir(folder)); err != nil {
					t.Fatal(err)
				}
				s.Reload()
				serves()
				wantOwned(t, folder)
			}
			if strings.Contains(s.Log(), `"level":"WARN"`) || strings.Contains(s.Log(), `"level":"ERROR"`) && !strings.Contains(s.Log(), "child died") {
				t.Errorf("there are warnings:\n%s", s.Log())
			}
			candidateIsNobodys(t, s)
		})
	}
}

// wantOwned checks that there is something in folder, and that all of it is
// nobody's alone.
func wantOwned(t *testing.T, folder string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != nobodyID || info.Mode().Perm()&0o022 != 0 {
			t.Errorf("%s is user %d's, with mode %s", path, uid, info.Mode())
		}
		files++
		return nil
	})
	if err != nil || files < 4 {
		t.Errorf("%d files in the cache, %v", files, err)
	}
}

// candidateIsNobodys looks at a candidate in a guest's child_init, and then ends
// it.
func candidateIsNobodys(t *testing.T, s *apphosttest.Server) {
	t.Helper()
	candidate := spinningCandidate(t, s)
	wantNobody(t, candidate)
	if err := syscall.Kill(candidate, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	entry, ok := s.WaitLog("reload failed", nil)
	if !ok || !strings.Contains(fmt.Sprint(entry["reason"]), "child_init") {
		t.Errorf("the candidate ended somewhere else: %v", entry)
	}
}

// spinningCandidate is a candidate in a guest that never returns.
func spinningCandidate(t *testing.T, s *apphosttest.Server) (pid int) {
	t.Helper()
	s.Plugin("bad", "testdata/init_loops.wasm")
	s.Signal(syscall.SIGUSR1)
	apphosttest.Eventually(t, apphosttest.Patience, "a candidate runs its guest", func() bool {
		for _, other := range s.Processes() {
			if strings.HasPrefix(apphosttest.CommandLine(other), "apphost: candidate") && ticks(other) >= 50 {
				pid = other
			}
		}
		return pid != 0
	})
	return pid
}

// To change credentials takes back that the kernel ends a process with its
// master.
func TestE2ENobodysProcessesDieWithTheirMaster(t *testing.T) {
	onlyRoot(t)
	for chroot, cache := range map[string]string{"": "CACHE", `chroot = "."`: "compiled"} {
		config := strings.Replace(asNobody(plain, chroot), "CACHE", cache, 1)
		s := apphosttest.New(t, config, map[string]string{"hello": helloWasm, "echo": echoWasm})
		s.Start()
		spinningCandidate(t, s)
		s.Kill()
		apphosttest.Eventually(t, apphosttest.Patience, "all have ended", func() bool { return len(s.Processes()) == 0 })
	}
}

// ticks is the processor time that a process has had, in hundredths of a second.
func ticks(pid int) int {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(raw), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	return user
}

// The file of a Unix socket stays root's, so that children cannot open it to
// more, and its group is theirs.
func TestE2EAUnixSocketHasTheGroup(t *testing.T) {
	onlyRoot(t)
	folder := socketFolder(t)
	s := apphosttest.Start(t, asNobody(overUnix(folder, `mode = "0660"`), ""), map[string]string{"hello": helloWasm, "echo": echoWasm})
	info, err := os.Stat(folder + "/web.sock")
	if err != nil {
		t.Fatal(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); stat.Uid != 0 || stat.Gid != nobodyID || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket is user %d's and group %d's, with mode %s", stat.Uid, stat.Gid, info.Mode())
	}
	echoUnix(t, folder+"/echo.sock", "ping")
	s.Stop()
	if _, err := os.Stat(folder + "/web.sock"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket after the stop: %v", err)
	}
}

func TestE2EAReloadCannotChangeTheUser(t *testing.T) {
	onlyRoot(t)
	s := apphosttest.Start(t, plain, map[string]string{"hello": helloWasm, "echo": echoWasm})
	entry, ok := s.WaitLog("configuration", nil)
	if !ok || !strings.Contains(fmt.Sprint(entry["warning"]), "mpm.user: is not set: plugins run as root") {
		t.Errorf("root is not warned: %v", entry)
	}
	s.Configure(asNobody(plain, ""))
	if out, code := s.Run("reload", "-c", "config.toml"); code != 1 || !strings.Contains(out, "mpm.user: it cannot change while the server runs") {
		t.Errorf("reload: exit status %d: %s", code, out)
	}
	if err := echo(s.Addr("echo"), "ping"); err != nil {
		t.Error(err)
	}
}

// A child that cannot be confined ends with the exit code of what trying again
// does not help, and says why.
func TestE2EAChildThatCannotBeConfinedDoesNotServe(t *testing.T) {
	onlyRoot(t)
	s := apphosttest.New(t, strings.Replace(asNobody(plain, `chroot = "jail"`), "CACHE", "jail", 1), map[string]string{"hello": helloWasm, "echo": echoWasm})
	jail := filepath.Join(s.Dir, "jail")
	if err := os.Mkdir(jail, 0o755); err != nil {
		t.Fatal(err)
	}
	s.Start()
	if err := os.Rename(jail, jail+".gone"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(apphosttest.ChildrenOf(t, s.PID)[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.WaitLog("child cannot serve", func(e map[string]any) bool {
		return e["status"] == "exit status 15" && strings.Contains(fmt.Sprint(e["reason"]), "change root to mpm.chroot")
	}); !ok {
		t.Errorf("no such death in the log:\n%s", s.Log())
	}
}

// A cache folder that the user cannot get to is an error that says so.
func TestE2EACacheOutOfReachIsNamed(t *testing.T) {
	onlyRoot(t)
	s := apphosttest.New(t, strings.Replace(asNobody(plain, ""), "CACHE", "compiled", 1), map[string]string{"hello": helloWasm, "echo": echoWasm})
	want := fmt.Sprintf("permission denied; user %d has to be able to get there", nobodyID)
	if out, code := s.Run("-c", "config.toml"); code != 1 || !strings.Contains(out, want) {
		t.Errorf("exit status %d: %s", code, out)
	}
}

// Who is not root cannot become another user, is told so, and served.
func TestE2EWhoIsNotRootStaysWhoTheyAre(t *testing.T) {
	config := strings.Replace(plain, "[mpm]", "[mpm]\nuser = \"1\"\ngroup = \"1\"\nchroot = \".\"", 1)
	config = strings.Replace(config, "CACHE", "compiled", 1)
	s := apphosttest.New(t, config, map[string]string{"hello": helloWasm, "echo": echoWasm})
	s.Unprivileged()
	s.Start()
	for _, key := range []string{"mpm.user: has no effect", "mpm.chroot: has no effect"} {
		if _, ok := s.WaitLog("configuration", func(e map[string]any) bool { return strings.Contains(fmt.Sprint(e["warning"]), key) }); !ok {
			t.Errorf("no warning %q in the log:\n%s", key, s.Log())
		}
	}
	for _, pid := range s.Children() {
		if got, want := processStatus(pid)["Uid"], processStatus(s.PID)["Uid"]; got != want {
			t.Errorf("a child is user %s, the master %s", got, want)
		}
	}
	if err := echo(s.Addr("echo"), "ping"); err != nil {
		t.Error(err)
	}
}

// A service manager may let a user that is not root take low ports. What runs
// plugins may not, before a reload and after.
func TestE2ECapabilitiesAreTheMastersAlone(t *testing.T) {
	onlyRoot(t)
	config := strings.Replace(strings.Replace(plain, "127.0.0.1:0", lowPort(t), 1), "CACHE", "compiled", 1)
	s := apphosttest.New(t, config, map[string]string{"hello": helloWasm, "echo": echoWasm})
	s.Unprivileged()
	s.Attr = func(attr *syscall.SysProcAttr) { attr.AmbientCaps = []uintptr{unix.CAP_NET_BIND_SERVICE} }
	s.Start()
	for range 2 {
		if got := processStatus(s.PID)["CapAmb"]; got != "0000000000000400" {
			t.Errorf("the master has capabilities %s", got)
		}
		for _, pid := range s.Children() {
			if is := processStatus(pid); is["CapPrm"] != is["CapAmb"] || strings.Trim(is["CapPrm"], "0") != "" {
				t.Errorf("a child has capabilities %s", is["CapPrm"])
			}
		}
		if _, err := get("http://" + s.Addr("web") + "/hello/"); err != nil {
			t.Error(err)
		}
		s.Reload()
	}
}

// With a folder for core dumps, a crash leaves one there; without, children of
// another user leave none.
func TestE2EACrashLeavesACoreDump(t *testing.T) {
	onlyRoot(t)
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil || strings.ContainsAny(string(pattern), "|/") {
		t.Skipf("core dumps go elsewhere: %s, %v", pattern, err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil || limit.Max < 1<<20 {
		t.Skipf("core dumps are limited to %d bytes, %v", limit.Max, err)
	}
	dumps := t.TempDir()
	for _, dir := range []string{dumps, filepath.Dir(dumps)} {
		if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // nobody is to write there
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		folder string
		want   string
	}{
		"folder":    {fmt.Sprintf("core_dump_directory = %q", dumps), "(core dumped)"},
		"no folder": {"", "exit status 2"},
	} {
		t.Run(name, func(t *testing.T) {
			config := asNobody(plain, "limit_core = \"1MiB\"\n"+tc.folder)
			s := apphosttest.New(t, config, map[string]string{"hello": helloWasm, "echo": echoWasm})
			s.Detached = true
			s.Start()
			children := apphosttest.ChildrenOf(t, s.PID)
			if err := syscall.Kill(children[0], syscall.SIGABRT); err != nil {
				t.Fatal(err)
			}
			entry, ok := s.WaitLog("child died", nil)
			if !ok || !strings.Contains(fmt.Sprint(entry["status"]), tc.want) {
				t.Errorf("log of the crash: %v, want %q", entry, tc.want)
			}
		})
	}
	if left, err := filepath.Glob(filepath.Join(dumps, "core*")); err != nil || len(left) != 1 {
		t.Errorf("core dumps: %q, %v", left, err)
	}
}
