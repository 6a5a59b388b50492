package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// nextVersion is another build of the server, which says that it is 9.9.9.
func nextVersion(t *testing.T) string {
	t.Helper()
	return apphosttest.Variant(t, "cmd/apphost/cli.go", fmt.Sprintf("const version = %q", version), `const version = "9.9.9"`)
}

// startOwn starts a server from a binary of its own, which a test can replace.
func startOwn(t *testing.T, toml string) *apphosttest.Server {
	t.Helper()
	s := apphosttest.New(t, toml, map[string]string{"hello": helloWasm, "echo": echoWasm})
	s.OwnBinary()
	s.Start()
	return s
}

// upgradeTo upgrades the server to a binary, which must succeed.
func upgradeTo(t *testing.T, s *apphosttest.Server, binary, wantVersion string) {
	t.Helper()
	out, code := s.Run("upgrade", "-c", "config.toml", "--binary", binary)
	if code != 0 || !strings.Contains(out, "apphost "+wantVersion+" serves, generation ") {
		t.Fatalf("upgrade: exit status %d: %s", code, out)
	}
}

// Back and forth between two builds, under load: no connection fails, one that
// is held goes on, the process stays the same, and nothing piles up in it.
func TestE2EUpgradesUnderLoadLoseNothing(t *testing.T) {
	s := startOwn(t, plain)
	binaries := map[string]string{"9.9.9": nextVersion(t), version: s.Dir + "/apphost"}
	upgradeTo(t, s, binaries["9.9.9"], "9.9.9")
	upgradeTo(t, s, binaries[version], version)
	six := func() bool { return len(s.Processes()) == 6 }
	apphosttest.Eventually(t, apphosttest.Patience, "the master and five children", six)
	before := openDescriptors(t, s)

	l := startLoad(t, s, 200)
	roundTrip, hangUp := hold(t, s.Addr("echo"))
	for i := range 10 {
		want := []string{"9.9.9", version}[i%2]
		upgradeTo(t, s, binaries[want], want)
		if err := roundTrip(); err != nil {
			t.Fatalf("upgrade %d ended a connection: %v", i+1, err)
		}
		if st := statusOf(t, s); st.PID != s.PID || st.Version != want || st.Upgraded == nil {
			t.Fatalf("after upgrade %d: pid %d, version %s, upgraded %v; want pid %d, version %s", i+1, st.PID, st.Version, st.Upgraded, s.PID, want)
		}
	}
	l.wantNone(400)
	hangUp()
	s.Reload() // to no more children than it started with
	apphosttest.Eventually(t, apphosttest.Patience, "the master and five children", six)
	apphosttest.Eventually(t, apphosttest.Patience, fmt.Sprintf("%d descriptors as before", before),
		func() bool { return openDescriptors(t, s) <= before })
	apphosttest.Eventually(t, promptly, "no zombie", func() bool {
		return !slices.ContainsFunc(childrenOf(t, s.PID), func(pid int) bool { return apphosttest.State(pid) == "Z" })
	})
	if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", s.PID)); strings.TrimSpace(string(comm)) != "apphost" {
		t.Errorf("top shows %q", comm)
	}
}

// openDescriptors counts those of the master, but for the pages of slots: each
// slot keeps its own once it was used.
func openDescriptors(t *testing.T, s *apphosttest.Server) int {
	t.Helper()
	folder := fmt.Sprintf("/proc/%d/fd", s.PID)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(folder, e.Name())); err == nil && !strings.Contains(to, "apphost-slot") {
			n++
		}
	}
	return n
}

// After an upgrade the server is one as any other: each command and signal does
// what it did, and it can be upgraded again. The new binary was put where the
// old one was, which is deleted by that.
func TestE2EAnUpgradedServerIsOneAsAnyOther(t *testing.T) {
	s := startOwn(t, plain)
	s.Install(nextVersion(t))
	out, code := s.Run("upgrade", "-c", "config.toml")
	if code != 0 || !strings.HasSuffix(out, "apphost 9.9.9 serves, generation 2\n") {
		t.Fatalf("upgrade: exit status %d: %s", code, out)
	}
	s.Write("plugins/hello.wasm", greeter(t, "reloaded"))
	s.Reload()
	if body, err := get("http://" + s.Addr("web") + "/hello/"); err != nil || !strings.Contains(body, "reloaded") {
		t.Errorf("after the reload: %q, %v", body, err)
	}
	s.Signal(syscall.SIGUSR1)
	if _, ok := s.WaitLog("serving", func(e map[string]any) bool { return e["generation"] == 4.0 }); !ok {
		t.Fatal("no reload by signal")
	}
	victim := s.Children()[0]
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.WaitLog("child died", func(e map[string]any) bool { return e["pid"] == float64(victim) }); !ok {
		t.Error("the death of a child was not seen")
	}
	if out, code := s.Run("-c", "config.toml"); code != 1 || !strings.Contains(out, "runs already") {
		t.Errorf("a second server: exit status %d: %s", code, out)
	}
	roundTrip, hangUp := hold(t, s.Addr("echo"))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if out, code := s.Run("stop", "--graceful", "-c", "config.toml"); code != 0 {
			t.Errorf("graceful stop: exit status %d: %s", code, out)
		}
	}()
	if _, ok := s.WaitLog("stopping gracefully", nil); !ok {
		t.Fatal("it does not stop")
	}
	if err := roundTrip(); err != nil {
		t.Errorf("a held connection in a graceful stop: %v", err)
	}
	hangUp()
	<-ended
	if err := s.Wait(); err != nil {
		t.Errorf("the server ended badly: %v", err)
	}
	if left := s.ControlFiles(); len(left) > 0 {
		t.Errorf("control sockets after the stop: %v", left)
	}
}

// A build that cannot take over changes nothing, wherever it fails, and the
// server can be upgraded afterwards.
func TestE2EABadUpgradeChangesNothing(t *testing.T) {
	s := startOwn(t, strings.Replace(plain, `candidate_timeout = "60s"`, `candidate_timeout = "5s"`, 1))
	script := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(s.Dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	next := nextVersion(t)
	tests := []struct {
		name, binary, want string
	}{
		{"nothing", s.Dir + "/none", "no such file"},
		{"a folder", s.Dir, "not a regular file"},
		{"not executable", script("plain", "text", 0o600), "permission denied"},
		{"a text file", script("text", "text\n", 0o700), "exec format error"},
		{"a program that fails", script("fails", "#!/bin/sh\nexit 1\n", 0o700), "ended early: exit status 1"},
		{"a program that knows nothing of this", "/bin/true", "ended early: exit status 0"},
		{"a program that hangs", script("hangs", "#!/bin/sh\nexec sleep 1000\n", 0o700), "did not return within 5s"},
		{"another protocol", apphosttest.Variant(t, "mpm/prefork/takeover.go", "const takeoverProtocol = 1", "const takeoverProtocol = 2"), "upgrade protocol"},
		{"a state it cannot take over", apphosttest.Variant(t, "cmd/apphost/upgrade.go", "!filepath.IsAbs(h.Config)", "filepath.IsAbs(h.Config)"), "no absolute path"},
		{"children that cannot serve", apphosttest.Variant(t, "cmd/apphost/child.go", "h, err := openHost(c)", "h, err := openHost(nil)"), "new generation died"},
		{"a takeover that fails", apphosttest.Variant(t, "mpm/prefork/adopt.go", "if err := l.table.Import(st.Sockets); err != nil {",
			"if err := fmt.Errorf(`nothing goes`); err != nil {"), "nothing goes"},
		{"a state that reads differently", apphosttest.Variant(t, "mpm/prefork/handed.go", "if !fd.Open() {", "if fd.Open() {"), "is not open"},
	}
	roundTrip, _ := hold(t, s.Addr("echo")) // for which all has to be built
	l := startLoad(t, s, 50)
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			children := s.Children()
			out, code := s.Run("upgrade", "-c", "config.toml", "--binary", tc.binary)
			if code != 1 || !strings.Contains(out, tc.want) || !strings.Contains(out, "not upgraded; apphost "+version+" serves on, generation 1") {
				t.Errorf("exit status %d, want 1 and %q:\n%s", code, tc.want, out)
			}
			st := statusOf(t, s)
			if st.PID != s.PID || st.Version != version || st.State != "serving" || st.Upgraded != nil {
				t.Errorf("pid %d, version %s, %s, upgraded %v", st.PID, st.Version, st.State, st.Upgraded)
			}
			if err := roundTrip(); err != nil {
				t.Errorf("it ended a connection: %v", err)
			}
			apphosttest.Eventually(t, apphosttest.Patience, "the same number of children", func() bool { return len(s.Children()) >= len(children) })
		})
	}
	if sent, failed := l.stop(); failed > 0 {
		t.Errorf("%d of %d connections failed", failed, sent)
	}
	upgradeTo(t, s, next, "9.9.9")
	s.Reload()
}

// Signals that ask for a reload kill neither program while one gives way to the
// other.
func TestE2ESignalsDuringAnUpgrade(t *testing.T) {
	s := startOwn(t, plain)
	next := nextVersion(t)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				_ = syscall.Kill(s.PID, syscall.SIGUSR1)
				_ = syscall.Kill(s.PID, syscall.SIGCHLD)
				_ = syscall.Kill(s.PID, syscall.SIGHUP)
			}
		}
	}()
	for range 2 {
		upgradeTo(t, s, next, "9.9.9")
		upgradeTo(t, s, s.Dir+"/apphost", version)
	}
	close(stop)
	<-stopped
	if st := statusOf(t, s); st.PID != s.PID || st.Version != version {
		t.Errorf("pid %d, version %s", st.PID, st.Version)
	}
}

// A stop in the middle of an upgrade is a stop.
func TestE2EAStopDuringAnUpgrade(t *testing.T) {
	s := startOwn(t, plain)
	next := nextVersion(t)
	answered := make(chan string, 1)
	go func() {
		out, _ := s.Run("upgrade", "-c", "config.toml", "--binary", next)
		answered <- out
	}()
	if _, ok := s.WaitLog("upgrade requested", nil); !ok {
		t.Fatal("no upgrade")
	}
	s.Stop()
	if out := <-answered; !strings.Contains(out, "stopping") && !strings.Contains(out, "serves") {
		t.Errorf("the upgrade is answered %q", out)
	}
}
