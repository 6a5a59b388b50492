package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// Log files go over as they are open: an old generation may write to one whose
// folder is gone, and standard error stays what it was at the start, while the
// server logs to a file.
func TestE2EAnUpgradeKeepsOpenLogs(t *testing.T) {
	logTo := func(file string) string { return "[log]\nfile = \"" + file + "\"\n" + plain }
	s := apphosttest.New(t, plain, map[string]string{"hello": helloWasm, "echo": echoWasm})
	s.OwnBinary()
	s.Start()
	folder := filepath.Join(s.Dir, "old")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	s.Configure(logTo("old/log"))
	s.Reload()
	roundTrip, hangUp := hold(t, s.Addr("echo"))
	s.Configure(logTo("log"))
	s.Reload()
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	upgradeTo(t, s, nextVersion(t), "9.9.9")
	if err := roundTrip(); err != nil {
		t.Errorf("a connection over the upgrade: %v", err)
	}
	hangUp()
	upgradeTo(t, s, s.Dir+"/apphost", version)
	wantLogsAt(t, s, filepath.Join(s.Dir, "log"))
	s.Configure(plain)
	before := strings.Count(s.Log(), "\n")
	s.Reload()
	apphosttest.Eventually(t, apphosttest.Patience, "it logs to where it was started again",
		func() bool { return strings.Count(s.Log(), "\n") > before })
}

// The children that a failed upgrade gives back show the status as before.
func TestE2EAFailedUpgradeKeepsTheStatusPage(t *testing.T) {
	s := startOwn(t, withStatus)
	fails := apphosttest.Variant(t, "cmd/apphost/child.go", "h, err := openHost(c)", "h, err := openHost(nil)")
	children := s.Children()
	for range 2 {
		if out, code := s.Run("upgrade", "-c", "config.toml", "--binary", fails); code != 1 || !strings.Contains(out, "new generation died") {
			t.Fatalf("exit status %d: %s", code, out)
		}
		for range 2 * len(children) {
			if auto(t, s)["ParentServerConfigGeneration"] == "" {
				t.Error("no generation on the page")
			}
		}
	}
	for _, pid := range children {
		if !slices.Contains(s.Children(), pid) {
			t.Errorf("child %d is gone", pid)
		}
	}
}

// Children with threads go over like others, also to a build and a configuration
// with another number of threads, where their pages are of another size.
func TestE2EAnUpgradeOfWorkersMayChangeTheirThreads(t *testing.T) {
	of := func(threads string) string {
		return strings.Replace(crew, "threads_per_child = 8", "threads_per_child = "+threads, 1) + "[status]\npath = \"/server-status\"\n"
	}
	s := startOwn(t, of("8"))
	next := apphosttest.Variant(t, "mpm/scoreboard/layout.go", "\tversion = ", "\tversion = 200 + ")
	roundTrip, hangUp := hold(t, s.Addr("echo"))
	idle, _ := hold(t, s.Addr("echo"))
	for i, threads := range []string{"4", "8", "4"} {
		s.Configure(of(threads))
		binary := []string{next, s.Dir + "/apphost"}[i%2]
		upgradeTo(t, s, binary, version)
		for range 3 {
			if err := roundTrip(); err != nil {
				t.Fatalf("upgrade %d ended a connection: %v", i+1, err)
			}
		}
		if page := auto(t, s); !strings.Contains(page["Scoreboard"], "_") {
			t.Errorf("after upgrade %d the scoreboard is %q", i+1, page["Scoreboard"])
		}
	}
	st := statusOf(t, s)
	if st.Totals.Connections < 3 || st.Buckets != 1 {
		t.Errorf("%d connections were served, in %d buckets", st.Totals.Connections, st.Buckets)
	}
	if err := idle(); err != nil {
		t.Error(err)
	}
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
		t.Errorf("a connection of the first build in a graceful stop: %v", err)
	}
	hangUp()
	s.Signal(syscall.SIGTERM) // the other one is held on
	<-ended
}
