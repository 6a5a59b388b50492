package mpm

// Model is a way for children to serve connections. Everything else, such as
// generations, the number of children and how they end, is the same in all.
type Model string

// The models.
const (
	// Prefork: a child serves one connection at a time, so that whatever
	// happens in it costs only that one. The zero Model means it, too.
	Prefork Model = "prefork"
	// Worker: a child serves Options.ThreadsPerChild connections at a time,
	// each on a goroutine of its own. What ends a child ends all of them.
	Worker Model = "worker"
)

// String is the model's name, as in the configuration.
func (m Model) String() string {
	if m == "" {
		return string(Prefork)
	}
	return string(m)
}

// Known reports whether there is such a model.
func (m Model) Known() bool { return m == "" || m == Prefork || m == Worker }

// Threaded reports whether a child serves several connections at once: a
// ConnHandler is then called concurrently.
func (m Model) Threaded() bool { return m == Worker }

// TimedCallbacks reports whether Process.RegisterTimedCallback works.
func (m Model) TimedCallbacks() bool { return m == Worker }

// ThreadsPerChildMax is the largest Options.ThreadsPerChild.
const ThreadsPerChildMax = 20_000

// Threads is how many connections a child serves at once.
func (o *Options) Threads() int {
	if !o.Model.Threaded() {
		return 1
	}
	return max(1, o.ThreadsPerChild)
}

// ChildrenMax is how many children the serving generation may have:
// MaxRequestWorkers connections in all.
func (o *Options) ChildrenMax() int { return o.MaxRequestWorkers / o.Threads() }

// SpareMin is the fewest idle threads that all children together should have;
// with prefork, the fewest idle children.
func (o *Options) SpareMin() int {
	if o.Model.Threaded() {
		return o.MinSpareThreads
	}
	return o.MinSpareServers
}

// SpareMax is the most of them; see SpareMin.
func (o *Options) SpareMax() int {
	if o.Model.Threaded() {
		return o.MaxSpareThreads
	}
	return o.MaxSpareServers
}
