package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/apphost/apphost/host"
)

// cacheDirFallback is used where the environment names no cache folder, as in
// most services, and where root starts what runs as another user: only root can
// make it, so nobody else's code is run from it.
const cacheDirFallback = "/var/cache/apphost"

// Load reads the file at path and everything it names: the plugin folder,
// its .wasm files and their .toml files. Relative paths in the file are
// relative to the file's folder.
//
// # Errors
//
// All faults joined, one line each, in the order of the file; then those of
// the plugin folder. A file that is not TOML has one fault, the first. If
// plugins could be read all the same, the error is an *Incomplete.
func Load(path string) (*Config, error) {
	text, err := readConfigFile(path)
	if err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the folder of %s: %w", oneLine(path), err)
	}
	return load(source{
		name:     path,
		text:     text,
		base:     filepath.Dir(absolute),
		cacheDir: defaultCacheDir(),
		cores:    runtime.NumCPU(),
		open:     os.DirFS,
		system:   thisSystem(),
	})
}

// Incomplete is the error about a configuration with faults.
type Incomplete struct {
	error
	// Plugins are those that could be read, for who wants to look at them, too.
	Plugins []host.Plugin
}

// Unwrap gives the faults.
func (e *Incomplete) Unwrap() error { return e.error }

// source is what load reads from, so that tests need no disk.
type source struct {
	name     string                    // the configuration file, as faults name it
	text     []byte                    // its content
	base     string                    // the folder relative paths start from, absolute
	cacheDir string                    // where cache_dir is empty
	cores    int                       // that the server may run on
	open     func(folder string) fs.FS // opens the plugin folder
	system   system
}

func newDecoder(src source) *decoder {
	d := &decoder{src: src, config: Default(), kinds: make(map[string]string)}
	d.config.shipped = make(map[string]*document)
	return d
}

// load is Load without the disk.
func load(src source) (*Config, error) {
	d := newDecoder(src)
	doc, fault := parse(src.name, src.text)
	if fault != nil {
		return nil, fault
	}
	d.config.file = doc
	d.file(doc)
	d.config.Warnings = d.warnings.lines()
	if err := d.faults.err(); err != nil {
		return nil, &Incomplete{err, d.config.Host.Plugins}
	}
	return d.config, nil
}

func defaultCacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return cacheDirFallback
	}
	return filepath.Join(dir, "apphost")
}

func readConfigFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &fault{file: path, problem: "there is no such file; name the configuration with -c FILE"}
	}
	if err != nil {
		return nil, &fault{file: path, problem: "cannot be read: " + cause(err)}
	}
	defer func() { _ = f.Close() }() // only read from
	text, err := readBounded(f, fileBytesMax)
	if err != nil {
		return nil, &fault{file: path, problem: "cannot be read: " + cause(err)}
	}
	return text, nil
}

// readBounded reads all of r, or fails if that is more than limit bytes.
func readBounded(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("it is larger than %s", formatSize(uint64(limit)))
	}
	return data, nil
}

// cause is err without the operation and path that fs errors begin with: the
// fault names the file already, and as the reader knows it.
func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
