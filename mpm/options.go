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

	// StartServers is how many children a generation starts with.
	StartServers int
	// MinSpareServers and MaxSpareServers bound the idle children: fewer
	// than the first and more are spawned, more than the second and one at
	// a time is retired.
	MinSpareServers int
	MaxSpareServers int
	// MaxRequestWorkers bounds the children of the serving generation.
	MaxRequestWorkers int
	// ServerLimit bounds all children, those of old generations included.
	// It is fixed for the master's life: a reload cannot change it.
	ServerLimit int
	// MaxConnectionsPerChild retires a child after so many connections, less
	// a jitter of up to a tenth; 0 means never.
	MaxConnectionsPerChild int

	// StartTimeout bounds the time from spawn to ready.
	StartTimeout time.Duration
	// CandidateTimeout bounds each step of trying out a new generation.
	CandidateTimeout time.Duration
	// GracefulTimeout bounds how long a child that a reload retired may go on
	// with what it serves; 0 means without bound.
	GracefulTimeout time.Duration
	// GracefulShutdownTimeout bounds a graceful stop, after which it goes on as
	// a stop at once; 0 means without bound.
	GracefulShutdownTimeout time.Duration
	// KillTimeout is the time from asking a child to end at once to killing
	// it.
	KillTimeout time.Duration
}

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
	atLeast("min_spare_servers", o.MinSpareServers, 1)
	if o.MaxSpareServers <= o.MinSpareServers {
		fault("max_spare_servers", "must be more than min_spare_servers (%d), got %d", o.MinSpareServers, o.MaxSpareServers)
	}
	atLeast("max_request_workers", o.MaxRequestWorkers, 1)
	if o.Buckets > o.MaxRequestWorkers {
		fault("max_request_workers", "must be at least 1 for each of the %d buckets (listen_cores_buckets_ratio), got %d", o.Buckets, o.MaxRequestWorkers)
	}
	if o.StartServers > o.MaxRequestWorkers {
		fault("start_servers", "must not be more than max_request_workers (%d), got %d", o.MaxRequestWorkers, o.StartServers)
	}
	if o.ServerLimit < o.MaxRequestWorkers || o.ServerLimit > ServerLimitMax {
		fault("server_limit", "must be from max_request_workers (%d) to %d, got %d", o.MaxRequestWorkers, ServerLimitMax, o.ServerLimit)
	}
	atLeast("max_connections_per_child", o.MaxConnectionsPerChild, 0)
	positive("start_timeout", o.StartTimeout)
	positive("candidate_timeout", o.CandidateTimeout)
	positive("kill_timeout", o.KillTimeout)
	if o.GracefulTimeout < 0 {
		fault("graceful_timeout", "must not be negative, got %s", o.GracefulTimeout)
	}
	if o.GracefulShutdownTimeout < 0 {
		fault("graceful_shutdown_timeout", "must not be negative, got %s", o.GracefulShutdownTimeout)
	}
	return errors.Join(errs...)
}
