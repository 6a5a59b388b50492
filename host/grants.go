package host

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// arguments are the plugin's name and its arguments, or nothing if it was given
// neither.
func (p *Plugin) arguments() []string {
	if p.Arg0 == "" && len(p.Args) == 0 {
		return nil
	}
	return append([]string{cmp.Or(p.Arg0, p.Name)}, p.Args...)
}

// environ is the plugin's environment as the guest gets it.
func (p *Plugin) environ() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		out = append(out, name+"="+p.Env[name])
	}
	return out
}

// Grants says in a few words what the plugin may use, such as
// "env HOME, TZ; /data from /srv/data (write)"; "" is nothing. The values of
// the environment may be secrets.
func (p *Plugin) Grants() string {
	var parts []string
	if len(p.Env) > 0 {
		parts = append(parts, "env "+strings.Join(slices.Sorted(maps.Keys(p.Env)), ", "))
	}
	for _, d := range p.Dirs {
		part := fmt.Sprintf("%s from %s", d.Guest, d.Host)
		if d.Write {
			part += " (write)"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}
