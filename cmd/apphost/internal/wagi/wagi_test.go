package wagi

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestVariablesAreReadAsWAGIDoes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "env.txt")
	text := "# a comment\n\nA = \"two words\"\nB='x\"y'\nC=\nD=\"open\nE=a=b\r\nA2=1\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := environment([]string{file}, []string{"A2=2", "F='f'"})
	want := map[string]string{"A": "two words", "B": `x"y`, "C": "", "D": `"open`, "E": "a=b", "A2": "2", "F": "f"}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	for _, bad := range []string{"A", "=x", ""} {
		if _, err := environment(nil, []string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestOneModuleWithTwoSettingsIsTwoPlugins(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"a b.wasm": "\x00asm\x01\x00\x00\x00",
		"modules.toml": `
[[module]]
route = "/one/"
module = "a b.wasm"
strange = 1
[[module]]
route = "/two"
module = "a b.wasm"
[[module]]
route = "/three"
module = "./a b.wasm"
argv = ""
[[module]]
route = "/a-b/..."
module = "a b.wasm"
argv = "x\u007f \"${ARGS}"
volumes = { "in" = "gone" }
[[module]]
route = "/two"
module = "a b.wasm"
[[module]]
route = "/healthz"
module = "a b.wasm"
`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Import(t.Context(), "modules.toml", Options{Listen: "127.0.0.1:3000"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range r.Plugins {
		names = append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != "a-b a-b-2 a-b-3" {
		t.Errorf("plugins %s", got)
	}
	for _, want := range []string{
		"path = \"/one/\"\nplugin = \"a-b\"\n", "path = \"/two\"\nplugin = \"a-b\"\n", "path = \"/three\"\nplugin = \"a-b-2\"\n",
		"path = \"/a-b\"\nplugin = \"a-b-3\"\n", "path = \"/a-b/\"\nplugin = \"a-b-3\"\n", "path = \"/a-b-2/\"\nrespond = \"\"\nstatus = 404\n",
		"[plugin.a-b-3]\narg0 = \"x\\u007f\"\nargs = [\"\\\"${ARGS}\"]\n", "guest = \"/in\", write = true",
		"path = \"/healthz\"\nplugin = \"a-b\"\n",
	} {
		if strings.Count(r.Config, want) != 1 {
			t.Errorf("not once %q in\n%s", want, r.Config)
		}
	}
	notes := strings.Join(r.Notes, "\n")
	for _, want := range []string{
		`modules.toml:3: route "/one/" is for everything below it, too`,
		"modules.toml:5: strange is not known",
		`modules.toml:17: there is no folder "gone"`,
		`modules.toml:17: the volume "in" is "/in" here`,
		`modules.toml:19: "/two" is taken by a module before`,
		"/healthz",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("no %q in\n%s", want, notes)
		}
	}
}

// Whoever mends the file reads all that is wrong with it at once.
func TestAllFaultsAreToldAtOnce(t *testing.T) {
	t.Chdir(t.TempDir())
	must := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	must("text.wat", "(module)")
	must("env", "A=1\nno\n")
	must("modules.toml", `
[[module]]
route = "no-slash"
module = "gone.wasm"
[[module]]
route = "/a"
module = "bindle:x/1"
[[module]]
route = "/b"
module = "text.wat"
[[module]]
route = "/c"
`)
	_, err := Import(t.Context(), "modules.toml", Options{EnvFiles: []string{"env", "none"}, Variables: []string{"="}})
	for _, want := range []string{
		`modules.toml:3: route must begin with "/"`, "modules.toml:4: read module: ", "modules.toml:7: \"bindle:x/1\" is in a Bindle server",
		"modules.toml:10: ", "modules.toml:11: module is missing", "env:2: must be NAME=VALUE", "none: no such file", "--env: must be",
	} {
		if err == nil || strings.Count(err.Error(), want) != 1 {
			t.Errorf("not once %q in\n%v", want, err)
		}
	}
}

func TestSectionsThatAreNotKnownHaveTheirLine(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"a.wasm":       "\x00asm\x01\x00\x00\x00",
		"modules.toml": "[[module]]\nroute = \"/\"\nmodule = \"a.wasm\"\n[module.volumes]\n\"/x\" = \".\"\n\n[[handler]]\nroute = \"/h\"\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Import(t.Context(), "modules.toml", Options{Listen: ":1"})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(r.Notes, "\n"); !strings.Contains(got, "modules.toml:7: handler is not known") {
		t.Errorf("notes\n%s", got)
	}
}
