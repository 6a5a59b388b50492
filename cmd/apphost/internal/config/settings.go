package config

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/apphost/apphost/host"
)

// A plugin's settings come from two places with the same keys: NAME.toml next
// to NAME.wasm, which the plugin's author ships, and [plugin.NAME] in the
// configuration file, which wins key by key. Of [config] the keys are its own
// direct ones: a table or list inside is taken whole from one place.

// settings is what one place says about a plugin.
type settings struct {
	memoryLimitBytes uint64         // 0 is not given
	isolation        string         // "" is not given
	timeout          *time.Duration // nil is not given
	cpuTimeout       *time.Duration // likewise
	warmUp           *host.WarmUp   // likewise
	mount            *bool          // likewise
	quarantine       quarantine
	config           map[string]any
	grants           grants
}

// settings reads the keys of a plugin. This is the list of them.
func (t *table) settings() settings {
	defer t.done()
	var s settings
	t.size("memory_limit", &s.memoryLimitBytes, memoryLimitMin, memoryLimitMax)
	t.choice("isolation", &s.isolation, string(host.IsolateConnections), string(host.IsolateRequests), string(host.IsolateChildren))
	s.timeout = t.limit("timeout", timeoutMin)
	s.cpuTimeout = t.limit("cpu_timeout", cpuTimeoutMin)
	s.warmUp = t.warmUp("warm_up")
	mount := false
	if t.boolean("mount", &mount); t.has("mount") {
		s.mount = &mount
	}
	s.quarantine = t.quarantine()
	s.grants = t.grants()
	config := t.table("config")
	s.config = config.values
	for key, v := range s.config {
		config.checkJSON(join(config.path, key), v)
	}
	return s
}

// limit reads how long a plugin may take, or nil if it is not given.
func (t *table) limit(key string, least time.Duration) *time.Duration {
	var timeout time.Duration
	t.duration(key, &timeout)
	if !t.has(key) || t.refusedKey(key) {
		return nil
	}
	if timeout != 0 && timeout < least {
		t.fault(key, `must be "0s", which is none, or at least "%s", got %q`, least, t.values[key])
	}
	return &timeout
}

// warmUp reads what a plugin is warmed up with, or nil if it is not given: a path
// or a number of connections. Which of them depends on its ABI.
func (t *table) warmUp(key string) *host.WarmUp {
	v, ok := t.value(key, kindPathOrCount)
	if !ok {
		return nil
	}
	switch v := v.(type) {
	case string:
		_, err := url.ParseRequestURI(v)
		if v == "" || err == nil && v[0] == '/' && !strings.ContainsAny(v, " #") {
			return &host.WarmUp{Path: v}
		}
		t.fault(key, `must be a path that begins with "/", such as "/", or "" for none, got %q`, v)
	case int64:
		if v >= 0 && v <= warmUpCallsMax {
			return &host.WarmUp{Calls: int(v)}
		}
		t.fault(key, "must be from 0 to %d connections, got %d", warmUpCallsMax, v)
	default:
		t.fault(key, `must be a path in quotes, such as "/", or a number of connections, got %s`, describe(v))
	}
	return nil
}

// settingsFile reads NAME.toml.
func (d *decoder) settingsFile(files fs.FS, name string) {
	file := d.shown(name + ".toml")
	order := d.nextFile()
	plugin := d.find(name)
	if plugin == nil && strings.HasPrefix(name, ".") {
		return // some tool's
	}
	if plugin == nil {
		d.warnings = append(d.warnings, &fault{
			file: file, order: order,
			problem: fmt.Sprintf("has no effect: there is no %s.wasm next to it", name),
		})
		return
	}
	text, err := readRegular(files, name+".toml", fileBytesMax)
	if err != nil {
		d.faults = append(d.faults, &fault{file: file, order: order, problem: "cannot be read: " + cause(err)})
		return
	}
	doc, fault := parse(file, text)
	if fault != nil {
		fault.order = order
		d.faults = append(d.faults, fault)
		return
	}
	doc.order = order
	d.config.shipped[name] = doc
	root := &table{d: d, doc: doc, values: doc.root}
	d.plugins.shipped[name] = root.settings()
}

// pluginSections reads [plugin.NAME], and settles what each plugin gets.
func (d *decoder) pluginSections(t *table) {
	given := map[string]settings{}
	for name := range t.values {
		given[name] = t.table(name).settings()
		if !d.plugins.unread && d.find(name) == nil {
			t.fault(name, "there is no plugin %q in %s; %s", name, d.plugins.folder, d.plugins.have())
		}
	}
	for i := range d.config.Host.Plugins {
		plugin := &d.config.Host.Plugins[i]
		settle(plugin, d.plugins.shipped[plugin.Name], given[plugin.Name])
		d.config.MPM.Watch = d.config.MPM.Watch || plugin.CPUTimeout > 0
		d.config.MPM.Codes = append(d.config.MPM.Codes,
			d.plugins.quarantine.of(plugin.Name, d.plugins.shipped[plugin.Name].quarantine, given[plugin.Name].quarantine))
	}
}

// settle gives the plugin the settings of both places.
func settle(p *host.Plugin, shipped, given settings) {
	p.MemoryLimitBytes = cmp.Or(given.memoryLimitBytes, shipped.memoryLimitBytes, MemoryLimitDefault)
	p.Isolation = host.Isolation(cmp.Or(given.isolation, shipped.isolation))
	p.Timeout = cmp.Or(given.timeout, shipped.timeout)
	p.CPUTimeout = CPUTimeoutDefault
	if timeout := cmp.Or(given.cpuTimeout, shipped.cpuTimeout); timeout != nil {
		p.CPUTimeout = *timeout
	}
	if warmUp := cmp.Or(given.warmUp, shipped.warmUp); warmUp != nil {
		p.WarmUp = *warmUp
	}
	p.Mount = cmp.Or(given.mount, shipped.mount)
	settleGrants(p, shipped.grants, given.grants)
	values := map[string]any{}
	maps.Copy(values, shipped.config)
	maps.Copy(values, given.config)
	p.Config, p.ConfigJSON = render(values)
}

// find is the plugin of that name, or nil.
func (d *decoder) find(name string) *host.Plugin {
	i := slices.IndexFunc(d.config.Host.Plugins, func(p host.Plugin) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &d.config.Host.Plugins[i]
}
