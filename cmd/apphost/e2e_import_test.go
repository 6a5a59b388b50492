package main

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

const modules = `default_host = "localhost:3000"

[[module]]
route = "/"
module = "program.wasm"

[[module]]
route = "/files/..."
module = "file://DIR/program.wasm"
argv = "ruby index.rb ${SCRIPT_NAME} x=${ARGS}"
volumes = {"/data" = "DIR/store"}
allowed_hosts = ["https://example.com"]

[[module]]
route = "/library"
module = "library.wasm"
entrypoint = "hello"

[[module]]
route = "/files/more"
module = "program.wasm"

[[module]]
route = "/named"
host = "Other.Example:3000"
module = "library.wasm"
entrypoint = "hello"
`

// buildWAGI builds testdata/wagi as a program and as a library.
func buildWAGI(t *testing.T, dir string) {
	t.Helper()
	for _, args := range [][]string{{"-o", filepath.Join(dir, "program.wasm")}, {"-buildmode=c-shared", "-o", filepath.Join(dir, "library.wasm")}} {
		build := exec.Command("go", append(append([]string{"build"}, args...), ".")...)
		build.Dir = "testdata/wagi"
		build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
	}
}

func TestE2EAnImportedWAGIConfigurationServes(t *testing.T) {
	s := apphosttest.New(t, "", nil)
	buildWAGI(t, s.Dir)
	s.Write("modules.toml", []byte(strings.ReplaceAll(modules, "DIR", s.Dir)))
	s.Write("env.txt", []byte("# variables\nTZ = \"UTC\"\nNAME=file\n"))
	if err := os.Mkdir(filepath.Join(s.Dir, "store"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.Write("store/file", []byte("granted"))
	if err := os.Remove(filepath.Join(s.Dir, "config.toml")); err != nil {
		t.Fatal(err)
	}
	args := []string{"import", "wagi", "modules.toml", "-l", "127.0.0.1:0", "--env", "NAME=flag", "--env-file", "env.txt"}
	printed, code := s.Run(args...)
	if code != 0 || !strings.Contains(printed, "# plugins/program-2.wasm is a copy of "+s.Dir) {
		t.Fatalf("exit status %d:\n%s", code, printed)
	}
	out, code := s.Run(append(args, "-o", ".")...)
	for _, want := range []string{
		"modules.toml:1: default_host has no equivalent",
		`modules.toml:4: route "/" is for everything below it, too`,
		"modules.toml:11: WAGI's volumes can be written to",
		"modules.toml:12: allowed_hosts has no equivalent",
		`modules.toml:20: route "/files/more": WAGI takes the first that matches, which is "/files/..."`,
		"wrote config.toml and 3 plugins",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if code != 0 || t.Failed() {
		t.Fatalf("exit status %d:\n%s", code, out)
	}
	if again, code := s.Run(append(args, "-o", ".")...); code != 1 || !strings.Contains(again, "file exists") {
		t.Errorf("files are replaced: exit status %d:\n%s", code, again)
	}
	s.Start()
	const none = "file \"\", true\n"
	for _, test := range []struct {
		host, path string
		status     int
		body       string
	}{
		{"", "/?a=1&b", 200, "args [\"/\" \"a=1\" \"b\"]\nscript \"\" info \"/\"\nTZ \"UTC\" NAME \"flag\"\n" + none},
		{"", "/files", 200, "args [\"ruby\" \"index.rb\" \"/files\" \"x=\"]\nscript \"/files\" info \"\"\nTZ \"UTC\" NAME \"flag\"\nfile \"granted\", false\n"},
		{"", "/files/a?b&c", 200, "args [\"ruby\" \"index.rb\" \"/files/a\" \"x=b\" \"c\"]\nscript \"/files\" info \"/a\"\nTZ \"UTC\" NAME \"flag\"\nfile \"granted\", false\n"},
		{"", "/files/x?save", 200, "saved <nil>"},
		{"", "/library", 200, "hello from a library: [\"/library\"] \"\"\n"},
		{"", "/library?a", 200, "hello from a library: [\"/library\" \"a\"] \"a\"\n"},
		{"", "/library?b", 200, "hello from a library: [\"/library\" \"b\"] \"b\"\n"},
		{"", "/files/more", 200, none},
		{"other.example", "/named", 200, "hello from a library: [\"/named\"] \"\"\n"},
		{"", "/healthz", 200, "OK"},
		{"", "/program/", 404, ""},
		{"", "/library/", 404, ""},
	} {
		req, err := http.NewRequest("GET", "http://"+s.Addr("127.0.0.1:0")+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = test.host
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != test.status || !strings.Contains(string(body), test.body) {
			t.Errorf("%s%s: %d %q, %v, want %q", test.host, test.path, res.StatusCode, body, err, test.body)
		}
	}
	if text, err := os.ReadFile(filepath.Join(s.Dir, "store", "saved")); err != nil || string(text) != "by a guest" {
		t.Errorf("saved %q, %v", text, err)
	}
	entry, ok := s.WaitLog("plugin loaded", func(e map[string]any) bool { return e["plugin"] == "program-2" })
	if want := "env NAME, TZ; /data from " + filepath.Join(s.Dir, "store") + " (write)"; !ok || entry["grants"] != want {
		t.Errorf("the log says %v, want grants %q", entry, want)
	}
}

func TestE2EImportRefusesWhatItCannotGet(t *testing.T) {
	s := apphosttest.New(t, "", nil)
	s.Write("text.wat", []byte("(module)"))
	s.Write("modules.toml", []byte("[[module]]\nroute = \"/a\"\nmodule = \"bindle:example.com/x/1.0\"\n\n[[module]]\nroute = \"b\"\nmodule = \"oci:foo/bar:1\"\n"))
	s.Write("files.toml", []byte("[[module]]\nroute = \"/a\"\nmodule = \"none.wasm\"\n[[module]]\nroute = \"/b\"\nmodule = \"text.wat\"\n"))
	s.Write("other.toml", []byte("[server]\nport = 1\n"))
	for file, wants := range map[string][]string{
		"modules.toml": {"apphost: modules.toml:3: \"bindle:example.com/x/1.0\" is in a Bindle server", "apphost: modules.toml:7: \"oci:foo/bar:1\" is an image", "apphost: modules.toml:6: route must begin"},
		"files.toml":   {"apphost: files.toml:3: read module: open ", "apphost: files.toml:6: ", "make it one with wat2wasm"},
		"other.toml":   {"has no [[module]] section"},
		"missing.toml": {"no such file"},
	} {
		out, code := s.Run("import", "wagi", file)
		for _, want := range wants {
			if code != 1 || !strings.Contains(out, want) {
				t.Errorf("%s: exit status %d, %q, want %q", file, code, out, want)
			}
		}
	}
	for _, args := range [][]string{{"import"}, {"import", "nginx"}, {"import", "wagi"}} {
		if out, code := s.Run(args...); code != 2 {
			t.Errorf("%q: exit status %d, %q", args, code, out)
		}
	}
}
