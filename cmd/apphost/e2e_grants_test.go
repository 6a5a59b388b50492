package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// grantedServer has the program of testdata/wagi with a folder that it may read.
func grantedServer(t *testing.T, config string) *apphosttest.Server {
	t.Helper()
	s := apphosttest.New(t, config+"[plugin.program]\nenv = { TZ = \"UTC\" }\ndirs = [{ host = \"store\", guest = \"/data\" }]\n",
		map[string]string{"echo": echoWasm})
	buildWAGI(t, s.Dir)
	s.Plugin("program", filepath.Join(s.Dir, "program.wasm"))
	if err := os.Mkdir(filepath.Join(s.Dir, "store"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.Write("store/file", []byte("granted"))
	if err := os.Chmod(filepath.Join(s.Dir, "store", "file"), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// wantGranted asks the program for its file.
func wantGranted(t *testing.T, s *apphosttest.Server) {
	t.Helper()
	for _, want := range []string{"TZ \"UTC\" NAME \"\"\n", "saved open /data/saved: Read-only file system\n", "file \"granted\", false\n"} {
		if got, err := get("http://" + s.Addr("web") + "/program/?save"); err != nil || !strings.Contains(got, want) {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
}

// A folder that is not there is a fault of the plugin that it is granted to, and a
// reload to it changes nothing.
func TestE2EAReloadToAMissingFolderChangesNothing(t *testing.T) {
	s := grantedServer(t, plain)
	if out, code := s.Run("-t", "-c", "config.toml"); code != 0 || !strings.Contains(out, "; grants: env TZ; /data from "+s.Dir+"/store\n") {
		t.Errorf("exit status %d: %s", code, out)
	}
	s.Start()
	wantGranted(t, s)
	text, err := os.ReadFile(filepath.Join(s.Dir, "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	s.Write("config.toml", []byte(strings.Replace(string(text), `"store"`, `"gone"`, 1)))
	out, code := s.Run("reload", "-c", "config.toml")
	if want := "plugin.program.dirs[0].host: the folder " + s.Dir + "/gone cannot be used: no such file or directory; make it"; code != 1 || !strings.Contains(out, want) || !strings.Contains(out, "config.toml:") {
		t.Errorf("exit status %d: %s, want %s", code, out, want)
	}
	wantGranted(t, s)
}

// A child opens its folders as who it is, in the root that it has.
func TestE2EFoldersAreOpenedAsTheUser(t *testing.T) {
	onlyRoot(t)
	for name, tc := range map[string]struct{ chroot, cache string }{
		"same root":    {"", "CACHE"},
		"changed root": {`chroot = "."`, "compiled"},
	} {
		t.Run(name, func(t *testing.T) {
			s := grantedServer(t, strings.Replace(asNobody(plain, tc.chroot), "CACHE", tc.cache, 1))
			if err := os.Chmod(filepath.Dir(s.Dir), 0o755); err != nil {
				t.Fatal(err)
			}
			s.Start()
			wantGranted(t, s)
			store := filepath.Join(s.Dir, "store")
			if err := os.Chmod(store, 0o700); err != nil { // root's alone
				t.Fatal(err)
			}
			out, code := s.Run("reload", "-c", "config.toml")
			if code != 1 || !strings.Contains(out, "plugin.program.dirs[0].host: ") || !strings.Contains(out, "permission denied") {
				t.Errorf("exit status %d: %s", code, out)
			}
			if err := os.Chmod(store, 0o755); err != nil {
				t.Fatal(err)
			}
			wantGranted(t, s)
		})
	}
}
