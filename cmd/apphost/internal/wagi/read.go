// Package wagi turns the configuration of WAGI, a server for programs of WASI as
// CGI, into one of ours. It knows the format of modules.toml and the words of
// config.toml, and nothing of what either does.
package wagi

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// module is a [[module]] section.
type module struct {
	Route      string            `toml:"route"`
	Module     string            `toml:"module"`
	Host       string            `toml:"host"` // of older versions
	Entrypoint string            `toml:"entrypoint"`
	Argv       *string           `toml:"argv"`
	Volumes    map[string]string `toml:"volumes"`

	lines  lines
	faulty bool // which is told already
}

// lines says where the keys of a section are; "" is the section itself.
type lines map[string]int

// file is a modules.toml.
type file struct {
	name    string
	modules []module
	notes   []note
}

// note is a remark on a line of a file; 0 is the file.
type note struct {
	line int
	text string
}

// place is a line of the file, as errors name it.
func (f *file) place(line int) string {
	if line == 0 {
		return f.name
	}
	return fmt.Sprintf("%s:%d", f.name, line)
}

// note tells of something without an equivalent, at a key.
func (f *file) note(at lines, key, format string, args ...any) {
	line, ok := at[key]
	if !ok {
		line = at[""]
	}
	f.notes = append(f.notes, note{line, f.place(line) + ": " + fmt.Sprintf(format, args...)})
}

// without are the keys that there is nothing for, and what to know of each.
var without = map[string]string{
	"allowed_hosts":        "has no equivalent: plugins make no connections of their own",
	"http_max_concurrency": "has no equivalent: plugins make no connections of their own",
	"bindle_server":        "has no equivalent: modules are files",
	"repository":           "has no equivalent, and no meaning in WAGI either",
	"default_host":         "has no equivalent: without a Host header, a program is told the address of the listener",
}

// read reads a modules.toml. With an error about its modules there is a file, too.
func read(name string) (*file, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read modules: %w", err)
	}
	var content struct {
		Module []module `toml:"module"`
	}
	meta, err := toml.Decode(string(text), &content)
	if syntax, ok := errors.AsType[toml.ParseError](err); ok {
		return nil, fmt.Errorf("%s:%d: %s", name, syntax.Position.Line, syntax.Message)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f := &file{name: name, modules: content.Module}
	if len(f.modules) == 0 {
		return nil, fmt.Errorf("%s: has no [[module]] section; is it a modules.toml of WAGI?", name)
	}
	places := locate(string(text))
	for i := range f.modules {
		if i+1 < len(places) {
			f.modules[i].lines = places[i+1]
		}
	}
	f.unknown(meta.Undecoded(), places)
	err = f.check()
	return f, err
}

// unknown notes the keys that nothing is made of. Where they are, a TOML decoder
// does not say: the sections that have them are looked for.
func (f *file) unknown(keys []toml.Key, places []lines) {
	seen := map[string]bool{}
	for _, key := range keys {
		last := key[len(key)-1]
		if seen[key.String()] || len(key) > 2 {
			continue
		}
		seen[key.String()] = true
		why := without[last]
		if why == "" {
			why = "is not known, and left out"
		}
		sections := places[:1]
		if len(key) > 1 {
			sections = places[1:]
		}
		found := false
		for _, at := range sections {
			if _, ok := at[last]; ok {
				found = true
				f.note(at, last, "%s %s", last, why)
			}
		}
		if !found {
			f.note(nil, "", "%s %s", last, why)
		}
	}
}

// check looks for what WAGI itself would refuse, and what cannot be had here.
func (f *file) check() error {
	var errs []error
	for i := range f.modules {
		m := &f.modules[i]
		fail := func(key, format string, args ...any) {
			m.faulty = m.faulty || key == "module"
			at := max(m.lines[key], m.lines[""])
			errs = append(errs, fmt.Errorf("%s: %s", f.place(at), fmt.Sprintf(format, args...)))
		}
		switch scheme, _, _ := strings.Cut(m.Module, ":"); {
		case m.Module == "":
			fail("module", "module is missing")
		case scheme == "bindle":
			fail("module", "%q is in a Bindle server; get its parcel, and name the file", m.Module)
		case scheme == "oci":
			fail("module", `%q is an image in a registry; get its layer (such as with "oras pull"), and name the file`, m.Module)
		}
		if !strings.HasPrefix(m.Route, "/") {
			fail("route", `route must begin with "/", got %q`, m.Route)
		}
		if strings.ContainsAny(m.Route, "?#") {
			fail("route", `route must not hold "?" or "#", got %q`, m.Route)
		}
	}
	return errors.Join(errs...)
}

// path is the module's file.
func (m *module) path() (string, error) {
	return filepath.Abs(strings.TrimPrefix(m.Module, "file://"))
}

// same reports whether one plugin can be both modules.
func (m *module) same(other *module) bool {
	return m.Module == other.Module && m.Entrypoint == other.Entrypoint && maps.Equal(m.Volumes, other.Volumes) &&
		slices.Equal(m.argv(), other.argv())
}

// argv are the words of argv; none is WAGI's default.
func (m *module) argv() []string {
	if m.Argv == nil {
		return nil
	}
	return strings.Fields(*m.Argv)
}

var (
	otherLine   = regexp.MustCompile(`^\s*\[\[?\s*"?([A-Za-z0-9_-]+)"?[^\]]*\]`)
	sectionLine = regexp.MustCompile(`^\s*\[\[\s*module\s*\]\]`)
	keyLine     = regexp.MustCompile(`^\s*"?([A-Za-z0-9_-]+)"?\s*=`)
)

// locate finds the lines of the keys: those before the first section, and then
// those of each.
func locate(text string) []lines {
	out := []lines{{}}
	at := out[0]
	n := 0
	for line := range strings.Lines(text) {
		n++
		if other := otherLine.FindStringSubmatch(line); sectionLine.MatchString(line) {
			at = lines{"": n}
			out = append(out, at)
		} else if len(other) == 2 && other[1] != "module" {
			if out[0][other[1]] == 0 {
				out[0][other[1]] = n
			}
			at = lines{} // of no interest
		} else if key := keyLine.FindStringSubmatch(line); len(key) == 2 && at[key[1]] == 0 {
			at[key[1]] = n
		}
	}
	return out
}
