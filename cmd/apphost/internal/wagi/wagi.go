package wagi

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/apphost/apphost/host"
)

// Options are what WAGI gets by flags.
type Options struct {
	Listen    string   // HOST:PORT
	EnvFiles  []string // files of NAME=VALUE lines
	Variables []string // NAME=VALUE
}

// Result is the configuration that does the same.
type Result struct {
	Config  string // of config.toml
	Plugins []Plugin
	// Notes are what is not the same, one line each.
	Notes []string
}

// Plugin is a file of the plugin folder.
type Plugin struct {
	Name string
	From string // the module's path
	Wasm []byte
}

// conversion is a modules.toml on its way.
type conversion struct {
	*file
	env     map[string]string
	plugins []Plugin
	of      []module // of each plugin, the first module
	routes  []route
}

// route is a [[route]] section.
type route struct {
	host, path, plugin string
	below              bool // for what is below path, in WAGI
}

// Import reads a modules.toml. Paths in it are relative to the working folder, as
// WAGI's are.
//
// # Errors
//
// All faults that keep a module from being a plugin, joined, one line each.
func Import(ctx context.Context, name string, o Options) (*Result, error) {
	f, err := read(name)
	env, envErr := environment(o.EnvFiles, o.Variables)
	errs := []error{err, envErr}
	if f == nil {
		return nil, errors.Join(errs...)
	}
	c := &conversion{file: f, env: env}
	for i := range c.modules {
		if c.modules[i].faulty {
			continue
		}
		plugin, err := c.plugin(ctx, &c.modules[i])
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.place(c.modules[i].lines["module"]), err))
			continue
		}
		c.route(&c.modules[i], plugin)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	config := c.config(o.Listen)
	slices.SortStableFunc(c.notes, func(a, b note) int { return cmp.Compare(a.line, b.line) })
	out := &Result{Config: config, Plugins: c.plugins}
	for _, n := range c.notes {
		out.Notes = append(out.Notes, n.text)
	}
	return out, nil
}

// plugin makes a plugin of a module, or finds the one that it is, too.
func (c *conversion) plugin(ctx context.Context, m *module) (string, error) {
	for i := range c.of {
		if c.of[i].same(m) {
			return c.plugins[i].Name, nil
		}
	}
	file, err := m.path()
	if err != nil {
		return "", fmt.Errorf("find module: %w", err)
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read module: %w", err)
	}
	if !bytes.HasPrefix(wasm, []byte("\x00asm")) {
		return "", fmt.Errorf("%s is not a WebAssembly binary; if it is text, make it one with wat2wasm", file)
	}
	name := c.free(file)
	in := host.Inspect(ctx, name, wasm)
	for _, exp := range in.Exports {
		if exp.Name == "_routes" {
			c.note(m.lines, "module", "%s adds routes by its function _routes, which has no equivalent: write a module section with route and entrypoint for each", m.Module)
		}
	}
	for folder := range m.Volumes {
		if info, err := os.Stat(m.Volumes[folder]); err != nil || !info.IsDir() {
			c.note(m.lines, "volumes", "there is no folder %q; WAGI goes on without it, apphost does not start", m.Volumes[folder])
		}
	}
	c.plugins = append(c.plugins, Plugin{Name: name, From: file, Wasm: wasm})
	c.of = append(c.of, *m)
	return name, nil
}

var notInName = regexp.MustCompile(`[^a-zA-Z0-9_-]+`)

// free is a name for the plugin of a file that no other has.
func (c *conversion) free(file string) string {
	base := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	base = strings.Trim(notInName.ReplaceAllString(base, "-"), "-_")
	if base == "" {
		base = "module"
	}
	name := base
	for n := 2; slices.ContainsFunc(c.plugins, func(p Plugin) bool { return p.Name == name }); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

// route adds what leads to a module.
func (c *conversion) route(m *module, plugin string) {
	name, _, _ := strings.Cut(strings.ToLower(m.Host), ":")
	prefix, below := strings.CutSuffix(m.Route, "/...")
	for _, other := range c.routes {
		if other.below && other.host == name && strings.HasPrefix(m.Route, other.path) && other.path != prefix+"/" {
			c.note(m.lines, "route", "route %q: WAGI takes the first that matches, which is %q; here the more exact one wins", m.Route, other.path+"...")
			break
		}
	}
	if m.Route == "/healthz" {
		c.note(m.lines, "route", "WAGI answers /healthz by itself; here the module does")
	}
	paths := []string{m.Route}
	if below {
		paths = []string{prefix + "/"}
		if prefix != "" {
			paths = []string{prefix, prefix + "/"}
		}
	}
	for _, p := range paths {
		clean := path.Clean(p)
		if strings.HasSuffix(p, "/") && clean != "/" {
			clean += "/"
		}
		if clean != p {
			c.note(m.lines, "route", "route %q is written %q here: requests have no other path", p, clean)
			p = clean
		}
		if strings.HasSuffix(p, "/") && !below {
			c.note(m.lines, "route", "route %q is for everything below it, too: a path that ends in a slash is no exact one here", p)
		}
		if slices.ContainsFunc(c.routes, func(r route) bool { return r.host == name && r.path == p }) {
			c.note(m.lines, "route", "%q is taken by a module before, which WAGI would ask", p)
			continue
		}
		c.routes = append(c.routes, route{name, p, plugin, below && strings.HasSuffix(p, "/")})
	}
}

// config writes config.toml.
func (c *conversion) config(listen string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Made of %s by \"apphost import wagi\".\n\n[[listen]]\naddress = %s\nprotocol = \"http\"\n",
		strings.ToValidUTF8(strings.ReplaceAll(c.name, "\n", " "), "?"), quote(listen))
	if !slices.ContainsFunc(c.routes, func(r route) bool { return r.host == "" && r.path == "/healthz" }) {
		b.WriteString("\n# As built into WAGI.\n[[route]]\npath = \"/healthz\"\nrespond = \"OK\"\n")
	}
	for _, r := range c.routes {
		b.WriteString("\n[[route]]\n")
		if r.host != "" {
			fmt.Fprintf(&b, "host = %s\n", quote(r.host))
		}
		fmt.Fprintf(&b, "path = %s\nplugin = %s\n", quote(r.path), quote(r.plugin))
	}
	for i, p := range c.plugins {
		own := "/" + p.Name + "/"
		if !slices.ContainsFunc(c.routes, func(r route) bool { return r.host == "" && r.path == own }) {
			fmt.Fprintf(&b, "\n# WAGI has no routes but those of its configuration.\n[[route]]\npath = %s\nrespond = \"\"\nstatus = 404\n", quote(own))
		}
		c.grants(&b, p.Name, &c.of[i])
	}
	return b.String()
}

// grants writes the section of a plugin, if it has anything.
func (c *conversion) grants(b *strings.Builder, name string, m *module) {
	var keys []string
	if m.Entrypoint != "" && m.Entrypoint != "_start" {
		keys = append(keys, "entrypoint = "+quote(m.Entrypoint))
	}
	if argv := m.argv(); len(argv) > 0 {
		keys = append(keys, "arg0 = "+quote(argv[0]), "args = "+quoteAll(argv[1:]))
	}
	if len(c.env) > 0 {
		var pairs []string
		for _, name := range slices.Sorted(maps.Keys(c.env)) {
			pairs = append(pairs, quote(name)+" = "+quote(c.env[name]))
		}
		keys = append(keys, "env = { "+strings.Join(pairs, ", ")+" }")
	}
	if len(m.Volumes) > 0 {
		keys = append(keys, "dirs = [")
		for _, inside := range slices.Sorted(maps.Keys(m.Volumes)) {
			guest := path.Clean("/" + inside)
			if guest != inside {
				c.note(m.lines, "volumes", "the volume %q is %q here: it must be absolute", inside, guest)
			}
			outside, err := filepath.Abs(m.Volumes[inside])
			if err != nil {
				outside = m.Volumes[inside]
			}
			keys = append(keys, fmt.Sprintf("  { host = %s, guest = %s, write = true },", quote(outside), quote(guest)))
		}
		keys = append(keys, "]")
		c.note(m.lines, "volumes", "WAGI's volumes can be written to; take write = true away where that is not needed")
	}
	if len(keys) > 0 {
		fmt.Fprintf(b, "\n[plugin.%s]\n%s\n", name, strings.Join(keys, "\n"))
	}
}
