package config

import (
	"cmp"
	"maps"
	"path"
	"strings"

	"github.com/apphost/apphost/host"
)

// grants are what a plugin may use, besides its memory.
type grants struct {
	env        map[string]string
	arg0       string
	args       []string // nil is not given
	dirs       []host.Dir
	dirsGiven  bool
	entrypoint string
}

// grants reads the keys that grant something. Nothing is granted without them.
func (t *table) grants() grants {
	g := grants{env: t.env("env")}
	if t.text("arg0", &g.arg0) {
		t.noNUL("arg0", g.arg0)
	}
	t.texts("args", &g.args)
	for _, arg := range g.args {
		t.noNUL("args", arg)
	}
	if t.text("entrypoint", &g.entrypoint) && g.entrypoint == "" {
		t.fault("entrypoint", `must not be empty; leave it out for the main function`)
	}
	g.dirsGiven = t.has("dirs")
	for _, dir := range t.tables("dirs") {
		g.dirs = append(g.dirs, dir.dir(g.dirs))
	}
	return g
}

// env reads a table of names and texts.
func (t *table) env(key string) map[string]string {
	inner := t.table(key)
	t.d.kinds[inner.path] = kindEnv
	out := map[string]string{}
	for name := range inner.values {
		var value string
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00"):
			inner.fault(name, `is no name of a variable: it must not be empty or hold "="`)
		case inner.text(name, &value):
			inner.noNUL(name, value)
			out[name] = value
		}
	}
	return out
}

// noNUL refuses what ends a text for most programs.
func (t *table) noNUL(key, value string) {
	if strings.ContainsRune(value, 0) {
		t.fault(key, "must not hold a NUL character, got %q", value)
	}
}

// dir reads a folder that stands behind others.
func (t *table) dir(before []host.Dir) host.Dir {
	defer t.done()
	var d host.Dir
	var folder string
	switch {
	case !t.text("host", &folder) && !t.has("host"):
		t.fault("host", `is missing; name the folder to grant, such as "data"`)
	case t.has("host") && !t.refusedKey("host"):
		t.noNUL("host", folder)
		if folder == "" {
			t.fault("host", `must not be empty; write "." for the folder of this file`)
		}
		d.Host = t.d.inside(t, "host", t.d.resolve(folder))
	}
	if !t.text("guest", &d.Guest) && !t.has("guest") {
		t.fault("guest", `is missing; say where the plugin finds the folder, such as "/data"`)
	} else if !t.refusedKey("guest") {
		t.guestPath("guest", d.Guest, before)
	}
	t.boolean("write", &d.Write)
	return d
}

func (t *table) guestPath(key, guest string, before []host.Dir) {
	t.noNUL(key, guest)
	switch {
	case !path.IsAbs(guest):
		t.fault(key, `must begin with "/", got %q`, guest)
		return
	case path.Clean(guest) != guest:
		t.fault(key, "must be written %q, got %q", path.Clean(guest), guest)
		return
	}
	for _, other := range before {
		if other.Guest == guest {
			t.fault(key, "%q is another folder already", guest)
			return
		}
	}
}

// settleGrants gives the plugin the grants of both places. A variable wins by its
// name, the rest as a whole.
func settleGrants(p *host.Plugin, shipped, given grants) {
	env := map[string]string{}
	maps.Copy(env, shipped.env)
	maps.Copy(env, given.env)
	if len(env) > 0 {
		p.Env = env
	}
	p.Arg0 = cmp.Or(given.arg0, shipped.arg0)
	p.Entrypoint = cmp.Or(given.entrypoint, shipped.entrypoint)
	p.Args, p.Dirs = shipped.args, shipped.dirs
	if given.args != nil {
		p.Args = given.args
	}
	if given.dirsGiven {
		p.Dirs = given.dirs
	}
}
