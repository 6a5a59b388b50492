package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/apphost/apphost/host"
)

// pluginSet is what the plugin folder holds.
type pluginSet struct {
	folder string // as the file writes it, with a slash at the end
	unread bool   // the folder could not be read: what it holds is unknown
	names  []string
	// quarantine is what [plugins] says.
	quarantine quarantine
	// shipped is what each NAME.toml says.
	shipped map[string]settings
}

// have tells the writer what there is.
func (s *pluginSet) have() string {
	switch {
	case s.unread:
		return "name a plugin"
	case len(s.names) == 0:
		return "there is no .wasm file in " + s.folder
	}
	return "have: " + strings.Join(s.names, ", ")
}

// reference checks that the plugin that key names exists.
func (d *decoder) reference(t *table, key, name string) {
	if !d.plugins.unread && !slices.Contains(d.plugins.names, name) {
		t.fault(key, "there is no plugin %q in %s; %s", name, d.plugins.folder, d.plugins.have())
	}
}

// pluginFolder reads [plugins] and the files of the folder.
func (d *decoder) pluginFolder(t *table) {
	defer t.done()
	dir, cache := "plugins", ""
	t.text("dir", &dir)
	t.text("cache_dir", &cache)
	d.plugins.quarantine = t.quarantine()
	d.config.Host.CacheDir = d.src.cacheDir
	if cache != "" {
		d.config.Host.CacheDir = d.resolve(cache)
	}
	d.rootCache(t, cache != "")
	d.plugins.folder = strings.TrimSuffix(filepath.ToSlash(dir), "/") + "/"
	if t.refusedKey("dir") {
		d.plugins.unread = true
		return
	}
	if dir == "" {
		d.plugins.unread = true
		t.fault("dir", `must not be empty; write "." for the folder of this file`)
		return
	}
	d.plugins.shipped = map[string]settings{}
	files := d.src.open(d.resolve(dir))
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		d.plugins.unread = true
		if errors.Is(err, fs.ErrNotExist) {
			t.fault("dir", "there is no folder %q; make it and put .wasm files there, or name another", d.shown(""))
		} else {
			t.fault("dir", "the folder %q cannot be read: %s", d.shown(""), cause(err))
		}
		return
	}
	for _, entry := range entries { // sorted by name
		if name, ok := strings.CutSuffix(entry.Name(), ".wasm"); ok {
			d.plugin(files, name)
		}
	}
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), ".toml"); ok {
			d.settingsFile(files, name)
		}
	}
}

var pluginName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]*$`)

// plugin reads NAME.wasm.
func (d *decoder) plugin(files fs.FS, name string) {
	file := name + ".wasm"
	fault := &fault{file: d.shown(file), order: d.nextFile()}
	if !pluginName.MatchString(name) {
		fault.problem = "rename it: a plugin's name has only letters, digits, _ and -, and begins with a letter or digit"
		d.faults = append(d.faults, fault)
		return
	}
	d.plugins.names = append(d.plugins.names, name)
	wasm, err := readRegular(files, file, WasmBytesMax)
	if err != nil {
		fault.problem = "cannot be read: " + cause(err)
		d.faults = append(d.faults, fault)
	}
	d.config.Host.Plugins = append(d.config.Host.Plugins, host.Plugin{
		Name:             name,
		Wasm:             wasm,
		MemoryLimitBytes: MemoryLimitDefault,
		Config:           map[string]string{},
		ConfigJSON:       []byte("{}"),
	})
}

// shown is how faults name a file of the plugin folder.
func (d *decoder) shown(file string) string {
	folder := d.plugins.folder
	if !path.IsAbs(folder) {
		folder = path.Join(filepath.ToSlash(filepath.Dir(d.src.name)), folder)
	}
	return path.Join(folder, file)
}

func (d *decoder) nextFile() int {
	d.files++
	return d.files
}

// readRegular reads a file, but no folder, and nothing that could wait for a
// writer.
func readRegular(files fs.FS, name string, limit int64) ([]byte, error) {
	info, err := fs.Stat(files, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := readBounded(f, limit)
	if closeErr := f.Close(); err == nil && closeErr != nil {
		return nil, fmt.Errorf("close: %w", closeErr)
	}
	return data, err
}

func isControl(r rune) bool { return unicode.IsControl(r) }
