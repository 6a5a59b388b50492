package mpm

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// Options is what a generation asks of the model that runs it. A generation
// is started with one Options value and keeps it to its end.
//
// The JSON form travels from the candidate to the master inside the
// generation image; the master validates it again.
type Options struct {
	// Listeners are the sockets to accept from, at least one.
	Listeners []Listener
	// Buckets is how many sockets each TCP address has, each with children of
	// its own, as far as the sockets are made here; 0 counts as 1. It is fixed
	// by the candidate, from the cores it may run on: see Buckets.
	Buckets int `json:",omitempty"`

	// Model is how children serve. It is fixed for the master's life.
	Model Model
	// ThreadsPerChild is how many connections a child serves at once in the
	// worker model. In the prefork model it is 0 or 1, and means 1.
	ThreadsPerChild int

	// StartServers is how many children a generation starts with.
	StartServers int
	// MinSpareServers and MaxSpareServers bound the idle children in the
	// prefork model: fewer than the first and more are spawned, more than the
	// second and one at a time is retired.
	MinSpareServers int
	MaxSpareServers int
	// MinSpareThreads and MaxSpareThreads are the same for the worker model,
	// and count idle threads of all children together.
	MinSpareThreads int
	MaxSpareThreads int
	// MaxRequestWorkers bounds the connections that the serving generation
	// serves at once: its children, times ThreadsPerChild.
	MaxRequestWorkers int
	// ServerLimit bounds all children, those of old generations included.
	// It is fixed for the master's life: a reload cannot change it.
	ServerLimit int
	// MaxConnectionsPerChild retires a child after so many connections, less
	// a jitter of up to a tenth; 0 means never.
	MaxConnectionsPerChild int

	// Status lets children ask the master how it and all of them are, for a
	// page that shows it.
	Status bool

	// StartTimeout bounds the time from spawn to ready.
	StartTimeout time.Duration
	// CandidateTimeout bounds each step of trying out a new generation.
	CandidateTimeout time.Duration
	// GracefulRestartTimeout bounds how long a child that a reload retired may go on
	// with what it serves; 0 means without bound.
	GracefulRestartTimeout time.Duration
	// MaxOldGenerations bounds the retired generations that still serve: when
	// a reload leaves more, the oldest are ended. 0 means without bound.
	MaxOldGenerations int
	// ProveTime is how long a generation that a reload brought into service is
	// on probation. When ProveDeaths of its children have died badly in that
	// time, what served before it serves again. 0 of either means never.
	ProveTime   time.Duration
	ProveDeaths int
	// GracefulShutdownTimeout bounds a graceful stop, after which it goes on as
	// a stop at once; 0 means without bound.
	GracefulShutdownTimeout time.Duration
	// KillTimeout is the time from asking a child to end at once to killing
	// it.
	KillTimeout time.Duration

	// Batch keeps a child that wakes up from cutting off what runs then, for as long
	// as the kernel's turn lasts. See SCHED_BATCH in sched(7). Where the master has
	// another policy than the default, children have that.
	Batch bool `json:",omitzero"`

	// PIDFile is the absolute path of a file for the master's pid; "" is none.
	// It is fixed for the master's life.
	PIDFile string
	// ErrorLog is the absolute path of the error log; "" is standard error.
	ErrorLog string
	// Logs are further log files.
	Logs []Log
	// Watch says that handlers run code which may not come back: see Watched.
	Watch bool `json:",omitzero"`
	// Codes are what handlers run that is not their own; see Code.
	Codes []Code `json:",omitempty"`
	// Privileges are those of the children and candidates.
	Privileges Privileges `json:",omitzero"`
}

// Log is a log file, which the master opens for its children.
type Log struct {
	// Name is what a child knows it by.
	Name string
	// Path is absolute, or StandardOutput or StandardError, which are those of
	// the master.
	Path string
}

// Names in place of a path.
const (
	StandardOutput = "stdout"
	StandardError  = "stderr"
)

// Listener is one socket to accept from.
type Listener struct {
	// Name identifies the listener in Conn.Listener and in logs.
	Name string
	// Address is HOST:PORT; an empty host is every address, and a port of 0
	// lets the kernel choose one. What reaches the master has numbers only.
	// Or it is UnixPrefix and the absolute path of a Unix socket.
	Address string
	// Backlog is the length of the accept queue, which the kernel caps at
	// net.core.somaxconn.
	Backlog int
	// Mode are the permissions of a Unix socket's file; who may write to it
	// may connect.
	Mode fs.FileMode
	// GID is the group of a Unix socket's file; 0 leaves the master's.
	GID int `json:",omitempty"`
	// Socket are the options of the socket.
	Socket SocketOptions
}

// UnixPrefix begins the address of a Unix socket; its path follows.
const UnixPrefix = "unix:"

// UnixPath is the path of the listener's Unix socket, if it is one.
func (l *Listener) UnixPath() (path string, ok bool) {
	return strings.CutPrefix(l.Address, UnixPrefix)
}

// SocketOptions are what a TCP listener is set to; the connections that it
// accepts inherit all but the first two. A Unix socket has none of them.
type SocketOptions struct {
	// FreeBind lets an address be taken that no interface has yet.
	FreeBind bool
	// V6Only keeps IPv4 off the IPv6 address "::".
	V6Only bool
	// KeepAlive lets the kernel find out that a silent peer has gone.
	KeepAlive bool
	// NoDelay sends small writes at once.
	NoDelay bool
	// DeferAccept is how long a connection on which nothing was sent yet is
	// kept from the server, in whole seconds; 0 is not at all.
	DeferAccept time.Duration
	// SendBuffer and ReceiveBuffer are in bytes; the kernel caps them at
	// net.core.wmem_max and rmem_max. 0 leaves them to the kernel.
	SendBuffer    int
	ReceiveBuffer int
}

// ServerLimitMax is the largest ServerLimit.
const ServerLimitMax = 20_000

// Error is one fault in Options. Key is the field in the words of the
// configuration file, such as "max_spare_servers".
type Error struct {
	Key     string
	Problem string
}

func (e *Error) Error() string { return e.Key + ": " + e.Problem }

// Validate returns every fault of o as a joined list of *Error, or nil.
func (o *Options) Validate() error {
	var errs []error
	fault := func(key, format string, args ...any) {
		errs = append(errs, &Error{key, fmt.Sprintf(format, args...)})
	}
	atLeast := func(key string, got, least int) {
		if got < least {
			fault(key, "must be at least %d, got %d", least, got)
		}
	}
	positive := func(key string, got time.Duration) {
		if got <= 0 {
			fault(key, "must be longer than 0s, got %s", got)
		}
	}
	if len(o.Listeners) == 0 {
		fault("listen", "there is no listener; add a [[listen]] section")
	}
	atLeast("listen_cores_buckets_ratio", o.Buckets, 0)
	atLeast("start_servers", o.StartServers, 1)
	switch {
	case !o.Model.Known():
		fault("model", `must be "prefork" or "worker", got %q`, string(o.Model))
	case o.Model.Threaded():
		o.validateWorker(fault)
	default:
		o.validatePrefork(fault)
	}
	atLeast("max_connections_per_child", o.MaxConnectionsPerChild, 0)
	atLeast("max_old_generations", o.MaxOldGenerations, 0)
	atLeast("prove_deaths", o.ProveDeaths, 0)
	if o.ProveTime < 0 {
		fault("prove_time", "must not be negative, got %s", o.ProveTime)
	}
	positive("start_timeout", o.StartTimeout)
	positive("candidate_timeout", o.CandidateTimeout)
	positive("kill_timeout", o.KillTimeout)
	if o.GracefulRestartTimeout < 0 {
		fault("graceful_restart_timeout", "must not be negative, got %s", o.GracefulRestartTimeout)
	}
	if o.GracefulShutdownTimeout < 0 {
		fault("graceful_shutdown_timeout", "must not be negative, got %s", o.GracefulShutdownTimeout)
	}
	absolute := func(key, path string) {
		if !strings.HasPrefix(path, "/") {
			fault(key, "must be an absolute path, got %q", path)
		}
	}
	if o.PIDFile != "" {
		absolute("pid_file", o.PIDFile)
	}
	if o.ErrorLog != "" {
		absolute("error_log", o.ErrorLog)
	}
	for _, l := range o.Logs {
		if l.Path != StandardOutput && l.Path != StandardError {
			absolute("logs", l.Path)
		}
	}
	o.validateCodes(fault)
	o.Privileges.validate(fault)
	return errors.Join(errs...)
}

func (o *Options) validatePrefork(fault func(key, format string, args ...any)) {
	if o.ThreadsPerChild < 0 || o.ThreadsPerChild > 1 {
		fault("threads_per_child", `goes with model "worker" only: with "prefork" it is 1`)
	}
	if o.MinSpareThreads != 0 {
		fault("min_spare_threads", `goes with model "worker" only; use min_spare_servers`)
	}
	if o.MaxSpareThreads != 0 {
		fault("max_spare_threads", `goes with model "worker" only; use max_spare_servers`)
	}
	if o.MinSpareServers < 1 {
		fault("min_spare_servers", "must be at least 1, got %d", o.MinSpareServers)
	}
	if o.MaxSpareServers <= o.MinSpareServers {
		fault("max_spare_servers", "must be more than min_spare_servers (%d), got %d", o.MinSpareServers, o.MaxSpareServers)
	}
	if o.MaxRequestWorkers < 1 {
		fault("max_request_workers", "must be at least 1, got %d", o.MaxRequestWorkers)
	}
	if o.Buckets > o.MaxRequestWorkers {
		fault("max_request_workers", "must be at least 1 for each of the %d buckets (listen_cores_buckets_ratio), got %d", o.Buckets, o.MaxRequestWorkers)
	}
	if o.StartServers > o.MaxRequestWorkers {
		fault("start_servers", "must not be more than max_request_workers (%d), got %d", o.MaxRequestWorkers, o.StartServers)
	}
	if o.ServerLimit < o.MaxRequestWorkers || o.ServerLimit > ServerLimitMax {
		fault("server_limit", "must be from max_request_workers (%d) to %d, got %d", o.MaxRequestWorkers, ServerLimitMax, o.ServerLimit)
	}
}

// validateWorker checks what counts threads. A relation to a value that is
// wrong itself is not looked at.
func (o *Options) validateWorker(fault func(key, format string, args ...any)) {
	if o.MinSpareServers != 0 {
		fault("min_spare_servers", `goes with model "prefork" only; use min_spare_threads`)
	}
	if o.MaxSpareServers != 0 {
		fault("max_spare_servers", `goes with model "prefork" only; use max_spare_threads`)
	}
	if o.MinSpareThreads < 1 {
		fault("min_spare_threads", "must be at least 1, got %d", o.MinSpareThreads)
	}
	threads := o.ThreadsPerChild
	if threads < 1 || threads > ThreadsPerChildMax {
		fault("threads_per_child", "must be from 1 to %d, got %d", ThreadsPerChildMax, threads)
		return
	}
	if least := o.MinSpareThreads + threads; o.MaxSpareThreads < least {
		fault("max_spare_threads", "must be at least min_spare_threads and threads_per_child together (%d), or children would come and go without end, got %d",
			least, o.MaxSpareThreads)
	}
	if o.MaxRequestWorkers < 1 || o.MaxRequestWorkers%threads != 0 {
		fault("max_request_workers", "must be a multiple of threads_per_child (%d), which is what each child serves at once, got %d", threads, o.MaxRequestWorkers)
		return
	}
	children := o.ChildrenMax()
	if o.Buckets > children {
		fault("max_request_workers", "must be at least threads_per_child (%d) for each of the %d buckets (listen_cores_buckets_ratio), got %d",
			threads, o.Buckets, o.MaxRequestWorkers)
	}
	if o.StartServers > children {
		fault("start_servers", "must not be more than max_request_workers by threads_per_child (%d), got %d", children, o.StartServers)
	}
	if o.ServerLimit < children || o.ServerLimit > ServerLimitMax {
		fault("server_limit", "must be from max_request_workers by threads_per_child (%d) to %d, got %d", children, ServerLimitMax, o.ServerLimit)
	}
}
