package mpm

import "time"

// Hooks are the points at which a program can take part in the life of a
// server. Each may be nil. Which process runs a hook, when, what it may do and
// what its error means is said at each; the names are those of Apache httpd's
// hooks.
//
// Master, candidate and child are processes of the same program: each gets the
// hooks from its own main function, and what one of them sets in memory the
// others do not see.
//
// Hooks of the master run on its one goroutine. They must return at once: while
// one runs, nobody is spawned, reaped or answered.
type Hooks struct {
	// PreConfig runs in a candidate, before it reads the configuration. The
	// phase is PhaseStarting. An error is a reason against the generation.
	PreConfig func() error
	// CheckConfig runs in a candidate, on options that are valid, before the
	// generation image is made. An error is a reason against the generation.
	CheckConfig func(*Options) error

	// OpenLogs runs in the master for each new generation, before its
	// listeners are bound, with the standard error of whoever started the
	// server. An error ends the start or the reload.
	OpenLogs func(*Options) error
	// PostConfig runs in the master for each new generation, once its
	// listeners are bound and before it has children. An error ends the start
	// or the reload, and closes them again.
	PostConfig func(*Options) error
	// PreMPM runs in the master after PostConfig, at the start and at a
	// Restart but not for a graceful reload or an upgrade. An error ends the
	// start or the Restart.
	PreMPM func(*Options) error
	// ChildStatus runs in the master when a child was spawned and when it is
	// gone.
	ChildStatus func(ChildStatus)
	// EndGeneration runs in the master once for each generation, after the
	// last child of it is gone: nothing of it will be written to a log any
	// more. One that never served has an end, too.
	EndGeneration func(generation uint64)
	// Monitor runs in the master every MonitorInterval while a generation
	// serves.
	Monitor func()

	// DropPrivileges runs in a child before anything of the generation is
	// loaded. The child is to give up what it does not need to serve. An error
	// ends the child, and with it the start or reload.
	DropPrivileges func() error
	// ChildInit runs in a child after DropPrivileges and before it reports
	// ready; the phase is PhaseStarting. An error ends the child; it counts as
	// passing where it wraps the model's ErrSick.
	ChildInit func() error
	// ChildStopping runs in a child that accepts no further connection, while
	// others may still be served. Graceful is false if its master is gone, or
	// if it ends because of an error. It does not run in a child that crashes
	// or is killed.
	ChildStopping func(graceful bool)
	// ChildStopped runs in a child after its last connection, right before
	// Serve returns. It gets what ChildStopping got.
	ChildStopped func(graceful bool)
	// FatalException runs in a child that is about to crash: a handler
	// panicked, or somebody sent it SIGSEGV, SIGBUS, SIGABRT, SIGILL or SIGFPE.
	// It is for a report. The child crashes when it returns, or after
	// FatalExceptionPatience. It never runs in a process of root, which a
	// crashed guest must not lead to more of.
	FatalException func(FatalException)
}

// MonitorInterval is how often Hooks.Monitor runs.
const MonitorInterval = 10 * time.Second

// FatalExceptionPatience is how long Hooks.FatalException may take.
const FatalExceptionPatience = 5 * time.Second

// ChildStatus tells what became of a child.
type ChildStatus struct {
	Server     int // the master's process id
	PID        int // the child's
	Generation uint64
	Slot       int
	State      ChildState
}

// ChildState is a point in the life of a child. There may be more of them in
// later versions: who does not know one ignores it.
type ChildState int

// The states.
const (
	ChildStarted ChildState = 0
	ChildExited  ChildState = 1
	// ChildLostSlot: the child lives on without a slot. No model here lets that
	// happen.
	ChildLostSlot ChildState = 2
)

// FatalException describes a crash.
type FatalException struct {
	PID int
	// Signal is the signal's number; see signal(7). It is 0 if a handler
	// panicked.
	Signal int
	// Stack is that of the handler that panicked, as the runtime prints it.
	Stack []byte
}

// Process is what a model offers to the program that runs inside a child. Its
// methods may be called by any goroutine.
type Process interface {
	// Query answers a question about the model; see Facts.Query.
	Query(QueryCode) (int, error)
	// RegisterTimedCallback runs fn once, on a goroutine of its own, when d has
	// passed. A callback that is not due when the child leaves never runs, and
	// one that runs then is waited for.
	//
	// It returns ErrNotImplemented in a model without timed callbacks, which
	// prefork is: nothing else runs beside its one connection.
	RegisterTimedCallback(d time.Duration, fn func()) error
}
