package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
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
