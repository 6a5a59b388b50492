package config

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apphost/apphost/mpm"
)

// decoder reads one configuration into config and gathers what is wrong.
type decoder struct {
	src      source
	config   *Config
	faults   faults
	warnings faults
	known    []string // the full path of every key asked for, once each
	unknown  []unknownKey
	kinds    map[string]string // what the key with that path takes
	files    int               // read so far, for the order of faults

	mpmTable *table // kept for validateMPM, which needs the listeners first
	plugins  pluginSet
}

type unknownKey struct {
	table *table
	key   string
}

// file reads the whole configuration. This is the list of its sections.
func (d *decoder) file(doc *document) {
	root := &table{d: d, doc: doc, values: doc.root}
	d.log(root.table("log"))
	d.mpm(root.table("mpm"))
	d.pluginFolder(root.table("plugins"))
	d.pluginSections(root.table("plugin"))
	d.listen(root.tables("listen"))
	d.routes(root.tables("route"))
	d.http(root.table("http"))
	d.status(root.table("status"))
	d.validateMPM(root)
	root.done()
	d.reportUnknown()
}

func (d *decoder) log(t *table) {
	defer t.done()
	var level string
	if t.choice("level", &level, "debug", "info", "warn", "error") {
		levels := map[string]slog.Level{
			"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
		}
		d.config.Log.Level = levels[level]
	}
	t.choice("format", &d.config.Log.Format, "auto", "text", "json")
	if t.text("file", &d.config.MPM.ErrorLog) && d.config.MPM.ErrorLog != "" {
		d.config.MPM.ErrorLog = d.resolve(d.config.MPM.ErrorLog)
	}
	d.accessLog(t)
}

// oldNames are names that keys of [mpm] had: httpd's before 2.4, still in many
// hands, and one of our own.
var oldNames = [...]struct{ old, now string }{
	{"max_clients", "max_request_workers"},
	{"max_requests_per_child", "max_connections_per_child"},
	{"graceful_timeout", "graceful_restart_timeout"},
}

// batch reads whether children let what runs go on when they wake up.
func (t *table) batch(model mpm.Model) bool {
	const batch, normal = "batch", "normal"
	scheduling := batch
	if model == mpm.Worker {
		scheduling = normal
	}
	t.choice("scheduling", &scheduling, batch, normal)
	return scheduling == batch
}

func (d *decoder) mpm(t *table) {
	defer t.done()
	o := &d.config.MPM
	model := string(o.Model)
	if t.choice("model", &model, string(mpm.Prefork), string(mpm.Worker)) && model == string(mpm.Worker) {
		o.Model = mpm.Worker
	}
	d.buckets(t)
	t.children(o)
	o.Batch = t.batch(o.Model)
	t.integer("max_connections_per_child", &o.MaxConnectionsPerChild)
	t.duration("start_timeout", &o.StartTimeout)
	t.duration("candidate_timeout", &o.CandidateTimeout)
	t.duration("graceful_restart_timeout", &o.GracefulRestartTimeout)
	t.integer("max_old_generations", &o.MaxOldGenerations)
	t.duration("prove_time", &o.ProveTime)
	t.integer("prove_deaths", &o.ProveDeaths)
	t.duration("graceful_shutdown_timeout", &o.GracefulShutdownTimeout)
	t.duration("kill_timeout", &o.KillTimeout)
	if t.text("pid_file", &o.PIDFile) && o.PIDFile != "" {
		o.PIDFile = d.resolve(o.PIDFile)
	}
	d.privileges(t)
	for i, read := range []func(key string) bool{
		func(key string) bool { return t.integer(key, &o.MaxRequestWorkers) },
		func(key string) bool { return t.integer(key, &o.MaxConnectionsPerChild) },
		func(key string) bool { return t.duration(key, &o.GracefulRestartTimeout) },
	} {
		t.oldName(oldNames[i].old, oldNames[i].now, read)
	}
	d.mpmTable = t
}

// buckets turns the ratio into a number for the cores there are now.
func (d *decoder) buckets(t *table) {
	const key = "listen_cores_buckets_ratio"
	var ratio int
	switch given := t.integer(key, &ratio); {
	case !given || ratio == 0:
	case ratio < 0:
		t.fault(key, "must be 0, which is one bucket, or more, got %d", ratio)
	default:
		d.config.MPM.Buckets = mpm.Buckets(d.src.cores, ratio)
	}
}

// oldName reads key under the name it had.
func (t *table) oldName(old, now string, read func(key string) bool) {
	given := read(old)
	t.known = slices.DeleteFunc(t.known, func(key string) bool { return key == old }) // not to be suggested
	t.old = append(t.old, old)
	if !given {
		return
	}
	if t.has(now) {
		t.fault(old, "is the old name of %s, and both are given; remove this one", now)
		return
	}
	t.warn(old, "is the old name of %s; rename it", now)
}

// validateMPM checks the values against each other, as the master will.
func (d *decoder) validateMPM(root *table) {
	err := d.config.MPM.Validate()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return
	}
	refused := slices.Clone(d.mpmTable.refused) // before the faults found here
	for _, err := range joined.Unwrap() {
		var fault *mpm.Error
		switch {
		case !errors.As(err, &fault):
			panic("BUG: mpm.Options.Validate returned an error that is not *mpm.Error: " + err.Error())
		case fault.Key != "listen":
			d.mpmFault(fault, refused)
		case !root.has("listen"): // else its sections have faults of their own
			root.fault("listen", "%s", fault.Problem)
		}
	}
}

// mpmFault places a fault of mpm.Options at the key that the writer wrote.
// The refused keys have values of a wrong type.
func (d *decoder) mpmFault(f *mpm.Error, refused []string) {
	t, key, problem := d.mpmTable, f.Key, f.Problem
	for _, name := range oldNames {
		if !t.has(name.now) && t.has(name.old) {
			problem = strings.ReplaceAll(problem, name.now, name.old)
			if key == name.now {
				key = name.old
			}
		}
	}
	// Where a key already has a fault, its default stands in for it. What
	// that default does not go with is not a second fault.
	for _, other := range refused {
		if key == other || strings.Contains(problem, other) {
			return
		}
	}
	if t.has(key) {
		t.fault(key, "%s", problem)
		return
	}
	// The default does not go with another key: the place is that key's.
	placed := t.doc.fault(join(t.path, key), problem+" (the default)")
	for _, other := range slices.Concat(t.known, t.old) {
		if t.has(other) && strings.Contains(problem, other) { // one at most: it is a relation of two
			placed.at = t.doc.place(join(t.path, other))
		}
	}
	d.faults = append(d.faults, placed)
}

func (d *decoder) knownKeys(t *table) {
	for _, key := range t.known {
		if path := join(t.path, key); !slices.Contains(d.known, path) {
			d.known = append(d.known, path)
		}
	}
}

// reportUnknown runs last: a key may be known in another section.
func (d *decoder) reportUnknown() {
	for _, u := range d.unknown {
		hint := "known here: " + strings.Join(u.table.known, ", ")
		if near := nearest(u.key, u.table.known); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		} else if section := d.sectionOf(u.key); section != "" {
			hint = fmt.Sprintf("it belongs in section [%s]", section)
		}
		u.table.fault(u.key, "unknown key; %s", hint)
	}
}

// sectionOf is the section whose key this is, or "".
func (d *decoder) sectionOf(key string) string {
	for _, section := range []string{"log", "mpm", "http", "status", "plugins"} {
		if slices.Contains(d.known, join(section, key)) {
			return section
		}
	}
	return ""
}

// resolve makes a path of the file absolute.
func (d *decoder) resolve(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(d.src.base, path)
}
