package config

import "github.com/apphost/apphost/mpm"

// children reads how many children there are. Each model has keys of its own
// for what it counts, and defaults of its own.
func (t *table) children(o *mpm.Options) {
	if o.Model.Threaded() {
		t.foreign(mpm.Prefork, "min_spare_servers", "max_spare_servers")
		t.threads(o)
	} else {
		t.foreign(mpm.Worker, "threads_per_child", "min_spare_threads", "max_spare_threads")
		t.integer("min_spare_servers", &o.MinSpareServers)
		t.integer("max_spare_servers", &o.MaxSpareServers)
	}
	t.integer("start_servers", &o.StartServers)
	t.integer("max_request_workers", &o.MaxRequestWorkers)
	t.integer("server_limit", &o.ServerLimit)
}

// threads reads the keys of the worker model. What is counted in threads has
// defaults that follow threads_per_child.
func (t *table) threads(o *mpm.Options) {
	o.ThreadsPerChild = ThreadsPerChildDefault
	t.integer("threads_per_child", &o.ThreadsPerChild)
	each := o.ThreadsPerChild
	if each < 1 || each > mpm.ThreadsPerChildMax {
		each = ThreadsPerChildDefault // it has a fault of its own
	}
	o.MinSpareServers, o.MaxSpareServers = 0, 0
	o.StartServers, o.ServerLimit = workersStart, 2*workersMax
	o.MinSpareThreads, o.MaxSpareThreads, o.MaxRequestWorkers = workersSpareMin*each, workersSpareMax*each, workersMax*each
	t.integer("min_spare_threads", &o.MinSpareThreads)
	t.integer("max_spare_threads", &o.MaxSpareThreads)
}

// foreign refuses keys of the other model.
func (t *table) foreign(model mpm.Model, keys ...string) {
	for _, key := range keys {
		var unused int
		if t.integer(key, &unused) && !t.refusedKey("model") {
			t.fault(key, "goes with model %q only; remove it, or change the model", string(model))
		}
	}
}
