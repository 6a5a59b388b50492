package config

import (
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/mpm"
)

var update = flag.Bool("update", false, "write the golden files")

// A golden is a configuration testdata/*/NAME.toml next to what becomes of
// it: NAME.json if it is valid, NAME.err if it is not. Its plugin folder is
// NAME.plugins, or holds echo.wasm and hello.wasm.

func TestValid(t *testing.T) {
	for _, file := range glob(t, "testdata/valid/*.toml") {
		t.Run(name(file), func(t *testing.T) {
			config, err := load(goldenSource(t, file))
			if err != nil {
				t.Fatalf("a valid file has faults:\n%v", err)
			}
			got, err := json.MarshalIndent(viewOf(config), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			compare(t, strings.TrimSuffix(file, ".toml")+".json", string(got)+"\n")
		})
	}
}

func TestInvalid(t *testing.T) {
	for _, file := range glob(t, "testdata/invalid/*.toml") {
		t.Run(name(file), func(t *testing.T) {
			config, err := load(goldenSource(t, file))
			if err == nil {
				t.Fatal("an invalid file has no fault")
			}
			if config != nil {
				t.Error("settings are returned in spite of faults")
			}
			compare(t, strings.TrimSuffix(file, ".toml")+".err", err.Error()+"\n")
		})
	}
}

func compare(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("read golden file (make it with -update): %v", err)
	}
	if got != string(want) {
		t.Errorf("differs from %s (after a look, accept it with -update)\ngot:\n%swant:\n%s", golden, got, want)
	}
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no file matches %s (%v)", pattern, err)
	}
	return files
}

func name(file string) string { return strings.TrimSuffix(filepath.Base(file), ".toml") }

// goldenSource reads file as /srv/apphost/config.toml.
func goldenSource(t *testing.T, file string) source {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var plugins fs.FS = twoPlugins()
	folder := strings.TrimSuffix(file, ".toml") + ".plugins"
	if _, err := os.Stat(folder); err == nil {
		plugins = os.DirFS(folder)
	}
	return sourceOf(string(text), plugins)
}

func twoPlugins() fstest.MapFS {
	return fstest.MapFS{
		"echo.wasm":  {Data: []byte("\x00asm echo")},
		"hello.wasm": {Data: []byte("\x00asm hello")},
		"README":     {Data: []byte("not a plugin")},
	}
}

func sourceOf(text string, plugins fs.FS) source {
	return source{
		name:     "config.toml",
		text:     []byte(text),
		base:     "/srv/apphost",
		cacheDir: "/home/user/.cache/apphost",
		cores:    8,
		open: func(folder string) fs.FS {
			if folder == "/srv/apphost/plugins" {
				return plugins
			}
			return missingFolder{}
		},
		system: goldenSystem(strings.HasPrefix(text, "# As root.")),
	}
}

// goldenSystem has the users www and root, the group web, and the folder
// /srv/jail with what is in it.
func goldenSystem(root bool) system {
	return system{
		root: root, self: 1000,
		account: func(name string) (*account, error) {
			switch name {
			case "www":
				return &account{uid: 33, gid: 33, groups: []int{33, 4}}, nil
			case "root":
				return &account{}, nil
			case "4711":
				return &account{uid: 4711, noEntry: true}, nil
			}
			return nil, errNone
		},
		group: func(name string) (int, error) {
			if name == "web" {
				return 80, nil
			}
			return 0, errNone
		},
		isFolder: func(path string) error {
			if path != "/srv/jail" && !strings.HasPrefix(path, "/srv/jail/") {
				return errors.New("no such file or directory")
			}
			return nil
		},
	}
}

// missingFolder has nothing, not even itself.
type missingFolder struct{}

func (missingFolder) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// view is a Config as the golden files show it.
type view struct {
	Level     string
	Format    string
	Access    string // format
	MPM       mpm.Options
	Listeners []host.Listener
	Routes    []host.Route
	HTTP      host.HTTPSettings
	CacheDir  string
	Status    Status
	Plugins   []pluginView
	Warnings  []string
}

type pluginView struct {
	Name             string
	Wasm             string
	MemoryLimitBytes uint64
	Timeout          string `json:",omitempty"`
	CPUTimeout       string `json:",omitempty"` // unless it is the default
	Config           map[string]string
	ConfigJSON       json.RawMessage

	Env        map[string]string `json:",omitempty"`
	Arg0       string            `json:",omitempty"`
	Args       []string          `json:",omitempty"`
	Dirs       []host.Dir        `json:",omitempty"`
	Entrypoint string            `json:",omitempty"`
	WarmUp     host.WarmUp       `json:",omitzero"`
	Mount      *bool             `json:",omitempty"`
}

func viewOf(c *Config) view {
	v := view{
		Level: c.Log.Level.String(), Format: c.Log.Format, Access: c.Log.AccessFormat, MPM: c.MPM,
		Listeners: c.Host.Listeners, Routes: c.Host.Routes, HTTP: c.Host.HTTP, CacheDir: c.Host.CacheDir, Status: c.Status,
		Warnings: c.Warnings,
	}
	for _, p := range c.Host.Plugins {
		timeout, cpuTimeout := "", ""
		if p.Timeout != nil {
			timeout = p.Timeout.String()
		}
		if p.CPUTimeout != CPUTimeoutDefault {
			cpuTimeout = p.CPUTimeout.String()
		}
		v.Plugins = append(v.Plugins, pluginView{
			p.Name, string(p.Wasm), p.MemoryLimitBytes, timeout, cpuTimeout, p.Config, p.ConfigJSON, p.Env, p.Arg0, p.Args, p.Dirs, p.Entrypoint, p.WarmUp, p.Mount,
		})
	}
	return v
}

// faultsOf splits a joined error.
func faultsOf(err error) []error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()
	}
	return []error{err}
}
