package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/mpm"
)

const reference = "../../../../config.toml"

// The reference file must say what the program does: every key there is, each
// at its default.
func TestReferenceIsDefault(t *testing.T) {
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	got, err := load(sourceOf(string(text), twoPlugins()))
	if err != nil {
		t.Fatalf("load the reference: %v", err)
	}
	want := Default()
	if got.Log != want.Log {
		t.Errorf("log: got %+v, the default is %+v", got.Log, want.Log)
	}
	if len(got.Warnings) != 0 {
		t.Errorf("warnings: %q", got.Warnings)
	}
	listeners := []host.Listener{{Name: "web", Protocol: host.HTTP}, {Name: "echo", Protocol: host.TCP, Plugin: "echo", ReadTimeout: TimeoutDefault, WriteTimeout: TimeoutDefault}}
	if !reflect.DeepEqual(got.Host.Listeners, listeners) {
		t.Errorf("listeners: got %+v, shipped are %+v", got.Host.Listeners, listeners)
	}
	for i, address := range []string{"127.0.0.1:8080", "127.0.0.1:7007"} {
		if l := got.MPM.Listeners[i]; l.Address != address || l.Backlog != BacklogDefault || l.Name != listeners[i].Name {
			t.Errorf("listener %d: got %+v, want address %s, the default backlog and the same name", i, l, address)
		}
	}
	got.MPM.Listeners = nil
	want.MPM.Watch = true // there are plugins
	want.MPM.Codes = []mpm.Code{{Name: "echo"}, {Name: "hello"}}
	if !reflect.DeepEqual(got.MPM, want.MPM) {
		t.Errorf("mpm: got %+v, the default is %+v", got.MPM, want.MPM)
	}
	if !reflect.DeepEqual(got.Status, want.Status) {
		t.Errorf("status: got %+v, the default is %+v", got.Status, want.Status)
	}
	if got.Host.HTTP != want.Host.HTTP {
		t.Errorf("http: got %+v, the default is %+v", got.Host.HTTP, want.Host.HTTP)
	}
	if len(got.Host.Routes) != 0 {
		t.Errorf("routes: got %v, none is the default", got.Host.Routes)
	}
}

// What is found later has its place all the same.
func TestSettingsAreLocatedLater(t *testing.T) {
	plugins := twoPlugins()
	plugins["hello.toml"] = &fstest.MapFile{Data: []byte("isolation = \"child\"\ndirs = [{ host = \"a\", guest = \"/a\" }]\n")}
	config, err := load(sourceOf(`[log]
file = "x"
[[listen]]
address = ":1"
[plugin.hello]
isolation = "request"
[plugin.echo]
dirs = [
  { host = "a", guest = "/a" },
  { host = "b", guest = "/b" },
]
`, plugins))
	if err != nil {
		t.Fatal(err)
	}
	other := errors.New("another")
	var errs []error
	for _, key := range []string{
		"log.file", "mpm.pid_file", "listen[0].address", "plugin.hello.isolation", "plugin.hello.dirs[0].host", "plugin.echo.dirs[1].host", "plugin.echo.entrypoint",
	} {
		errs = append(errs, &host.SettingError{Key: key, Err: other})
	}
	got := config.Locate(errors.Join(other, errors.Join(errs...)))
	want := `another
config.toml:2:1: log.file: another
config.toml: mpm.pid_file: another
config.toml:4:1: listen[0].address: another
config.toml:6:1: plugin.hello.isolation: another
plugins/hello.toml:2:11: dirs[0].host: another
config.toml:10:5: plugin.echo.dirs[1].host: another
config.toml:7:1: plugin.echo.entrypoint: another`
	if got.Error() != want {
		t.Errorf("got\n%v", got)
	}
	if config.Locate(nil) != nil || !errors.Is(Default().Locate(errs[0]), errs[0]) {
		t.Error("it makes errors of none, or loses one")
	}
}

// uncommented is the reference with its examples in force.
func uncommented(reference string) string {
	var b strings.Builder
	for line := range strings.Lines(reference) {
		if strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "# ") && line != "#\n" {
			line = line[1:]
		}
		b.WriteString(line)
	}
	return b.String()
}

// Without its comment signs, the reference must still load, and then hold
// every key that the schema knows.
func TestReferenceHasEveryKey(t *testing.T) {
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	src := sourceOf(uncommented(string(text)), twoPlugins())
	_, err = load(src)
	for _, fault := range faultsOf(err) {
		if fault != nil && !strings.Contains(fault.Error(), `goes with model "worker" only`) {
			t.Errorf("load the reference with its examples: %v", fault)
		}
	}
	doc, fault := parse(src.name, src.text)
	if fault != nil {
		t.Fatal(fault)
	}
	d := newDecoder(src)
	d.file(doc)
	if len(d.known) < 25 {
		t.Errorf("the schema knows only %q", d.known)
	}
	index := regexp.MustCompile(`\[[0-9]+\]`)
	withoutIndex := func(path string) string { return index.ReplaceAllString(path, "") }
	present := map[string]bool{}
	for path := range doc.at {
		present[withoutIndex(path)] = true
	}
	for _, path := range d.known {
		if !present[withoutIndex(path)] {
			t.Errorf("key %s is not in the reference", path)
		}
	}
}

// A value is compared with another wherever that stands.
func TestTheOrderOfKeysDoesNotMatter(t *testing.T) {
	const listen = "[[listen]]\naddress = \":1\"\n"
	for _, tt := range []struct {
		keys []string
		want string
	}{
		{keys: []string{"server_limit = 1000", "max_request_workers = 800"}},
		{keys: []string{"max_spare_servers = 4", "min_spare_servers = 3"}},
		{keys: []string{"server_limit = 100", "max_request_workers = 200"}, want: "max_request_workers"},
	} {
		for range 2 {
			slices.Reverse(tt.keys)
			text := "[mpm]\n" + strings.Join(tt.keys, "\n") + "\n" + listen
			if _, err := load(sourceOf(text, twoPlugins())); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q: %v, want an error about %q", tt.keys, err, tt.want)
			}
		}
	}
}

func TestLoadFromDisk(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	dir := t.TempDir()
	file := filepath.Join(dir, "config.toml")
	write(t, file, "[[listen]]\naddress = \":1\"\n[plugins]\ndir = \"p\"\n")
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "p")) {
		t.Errorf("without the plugin folder: got %v, want a fault that names it", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "p"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "target"), "\x00asm")
	if err := os.Symlink("../target", filepath.Join(dir, "p", "linked.wasm")); err != nil {
		t.Fatal(err)
	}
	config, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if p := config.Host.Plugins; len(p) != 1 || p[0].Name != "linked" || string(p[0].Wasm) != "\x00asm" {
		t.Errorf("plugins: got %+v, want the linked one", p)
	}
	if want := filepath.Join(cache, "apphost"); config.Host.CacheDir != want {
		t.Errorf("cache folder: got %s, want %s", config.Host.CacheDir, want)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "p", "dangling.wasm")); err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(dir, "p", "dangling.wasm") + ": cannot be read: no such file or directory"
	if _, err := Load(file); err == nil || err.Error() != want {
		t.Errorf("with a dangling link: got %v, want %s", err, want)
	}
}

func TestLoadUnreadable(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.toml")
	write(t, large, strings.Repeat("#", fileBytesMax+1))
	for file, want := range map[string]string{
		filepath.Join(dir, "none.toml"): "there is no such file; name the configuration with -c FILE",
		dir:                             "cannot be read: is a directory",
		large:                           "cannot be read: it is larger than 1MiB",
	} {
		if _, err := Load(file); err == nil || err.Error() != file+": "+want {
			t.Errorf("Load(%s): got %v, want %s", file, err, want)
		}
	}
}

func TestCacheDirFallback(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	if got := defaultCacheDir(); got != cacheDirFallback {
		t.Errorf("without a home: got %s, want %s", got, cacheDirFallback)
	}
}

// What can be bounded is: the largest nested file neither ends the process
// nor has endless faults.
func TestBounds(t *testing.T) {
	deep := "a = " + strings.Repeat("[", fileBytesMax/2)
	if _, err := load(sourceOf(deep, twoPlugins())); err == nil {
		t.Error("an unclosed list has no fault")
	}
	for _, nested := range []string{
		"a = " + strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
		"[" + strings.Repeat("a.", 1000) + "a]",
	} {
		_, err := load(sourceOf(nested, twoPlugins()))
		if want := "config.toml: has tables or lists nested deeper than 64"; err == nil || err.Error() != want {
			t.Errorf("%.10s...: got %.200v, want %s", nested, err, want)
		}
	}
	var many bytes.Buffer
	for range 3 * faultsMax {
		many.WriteString("[[listen]]\n")
	}
	_, err := load(sourceOf(many.String(), twoPlugins()))
	faults := faultsOf(err)
	if len(faults) != faultsMax+1 {
		t.Fatalf("got %d faults, want %d and a last that says how many more", len(faults), faultsMax)
	}
	if last := faults[faultsMax].Error(); last != "config.toml: and 200 more faults" {
		t.Errorf("the last fault is %q", last)
	}
}

func TestNotText(t *testing.T) {
	for text, want := range map[string]string{
		"\xff\xfea\x00":                "config.toml:1:1: is not UTF-8 text",
		"[log]\nlevel = \"\xe9\"":      "config.toml:2:10: is not UTF-8 text",
		"a\x00":                        "config.toml:1:2: is not UTF-8 text",
		"\xef\xbb\xbf[log]\nlevel = 1": "config.toml:2:1: log.level: must be a string in quotes, got the integer 1",
	} {
		_, err := load(sourceOf(text, fstest.MapFS{}))
		if err == nil || faultsOf(err)[0].Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
