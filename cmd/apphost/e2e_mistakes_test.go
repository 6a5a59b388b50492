package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// What operators got wrong, or we did for them.

func TestE2EAServerWithoutItsFileCanBeStopped(t *testing.T) {
	s := startPlain(t)
	file := filepath.Join(s.Dir, "config.toml")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if out, code := s.Run("reload", "-c", "config.toml"); code != 1 || !strings.Contains(out, "no such file") {
		t.Errorf("reload: exit status %d: %s", code, out)
	}
	if out, code := s.Run("stop", "-c", "config.toml"); code != 0 {
		t.Errorf("stop: exit status %d: %s", code, out)
	}
	if out, code := s.Run("-c", "config.toml"); code != 1 || !strings.Contains(out, "no such file") {
		t.Errorf("start: exit status %d: %s", code, out)
	}
}

func TestE2ECheckingFindsFoldersThatAreNotThere(t *testing.T) {
	s := apphosttest.New(t, "[log]\nfile = \"/nowhere/log\"\n"+strings.Replace(plain, "[mpm]\n", "[mpm]\npid_file = \"/nowhere/pid\"\n", 1)+
		"[[listen]]\naddress = \"unix:/nowhere/socket\"\n", map[string]string{"hello": helloWasm, "echo": echoWasm})
	out, code := s.Run("-t", "-c", "config.toml")
	for _, want := range []string{"config.toml:2:1: log.file: the folder /nowhere cannot be used: no such file or directory; make it", "mpm.pid_file: the folder /nowhere", "listen[2].address: the folder /nowhere"} {
		if !strings.Contains(out, want) {
			t.Errorf("nothing is said of %q", want)
		}
	}
	if code != 1 {
		t.Errorf("exit status %d: %s", code, out)
	}
}

func TestE2EAChangeOfTheModelIsRefusedByItsName(t *testing.T) {
	s := startPlain(t)
	s.Configure(strings.Replace(plain, "[mpm]\n", "[mpm]\nmodel = \"worker\"\n", 1))
	if out, code := s.Run("reload", "-c", "config.toml"); code != 1 || !strings.Contains(out, "mpm.model: it cannot change") {
		t.Errorf("exit status %d: %s", code, out)
	}
}
