package main

import (
	"os"
	"path/filepath"
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
