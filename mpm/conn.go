package mpm

import (
	"context"
	"errors"
	"net"
	"time"
)

// ConnHandler serves connections inside a child process.
type ConnHandler interface {
	// ServeConn serves c and returns when it is done with it, or when a read
	// has returned ErrParked. It must not close c: the model does so
	// afterwards, and lets the peer read what was written first. Whatever goes
	// wrong inside is for the handler to log.
	//
	// ctx lives as long as the child serves; it is not cancelled by a
	// graceful stop (see Conn.Stopping).
	ServeConn(ctx context.Context, c Conn)
}

// Conn is one accepted connection. Its methods are called by one goroutine
// at a time, the one that runs ServeConn, except Close, which anyone may call
// to end a read or write that is under way. Duplexer says how to let another
// one read.
type Conn interface {
	net.Conn

	// CloseWrite tells the peer that nothing more will be written. Reading
	// goes on.
	CloseWrite() error

	// ID is the connection's number in the life of its child, from 1.
	ID() uint64

	// Listener is the name of the listener that took the connection.
	Listener() string

	// SetState says what the handler is doing, for the scoreboard: one of
	// StateReading, StateWriting, StateKeepalive, StateLogging, StateClosing.
	// In StateKeepalive, between two requests, Read returns io.EOF once the
	// child is told to leave and nothing of a next request has arrived.
	SetState(State)

	// Stopping reports whether the child was told to leave. A handler with a
	// long-lived protocol says goodbye and returns soon after.
	Stopping() bool
}

// RequestRecorder is what a Conn may implement, too: it shows on the
// scoreboard which request a connection is at, and counts those that are
// finished. A handler whose protocol has requests asks for it by a type
// assertion. One that never calls it has its connections counted as they are,
// with all that was sent on them. The calls are made by the goroutine that runs
// ServeConn, cost tens of nanoseconds and keep none of the slices.
type RequestRecorder interface {
	// BeginRequest notes a request once its first line is read. Target is what
	// the client sent as such; it is cut, and shown to operators: a handler
	// takes passwords out of it first.
	BeginRequest(method, target, protocol []byte)
	// EndRequest counts the request that began last, and the bytes that were
	// sent for it, header included.
	EndRequest(bytesSent int64)
}

// Parting is implemented by connections of a model that, once ServeConn has returned,
// gives the peer time to read and takes what it still sends: closed at once, a
// connection with something unread is reset, and what the peer has not read is lost.
// A handler calls PeerDone, on the goroutine of ServeConn, if the peer has said that
// it sends nothing more.
type Parting interface{ PeerDone() }

// ErrParked ends a read in StateKeepalive of a connection whose next request is
// long in coming: see Parkable.
var ErrParked = errors.New("connection is parked until its next request")

// Parkable is implemented by connections of a model that waits for a late request
// by itself, so that a connection which idles has no goroutine and no buffers. A
// handler that calls Keep before it reads lets it: in StateKeepalive, and only there,
// Read may then return ErrParked, when nothing of a next request has arrived. The
// handler returns from ServeConn at once and holds nothing of the connection any longer.
//
// ServeConn is called again, with the same connection in the same state, when
// something has come, or at once if the connection cannot be parked after all: then
// Read waits again, and does not return ErrParked until the connection has been in
// another state. If the connection ends before, also because its read deadline has
// passed, ServeConn is not called.
type Parkable interface {
	Conn

	// Keep keeps a value that is not nil for later calls of ServeConn, which get it
	// from Kept. That is nil before.
	Keep(value any)
	Kept() any
}

// Watched is implemented by connections of a model that looks after handlers
// which do not come back: it ends the process of one that runs for longer than
// it may. A handler whose code is not its own calls Run before it enters that
// code, Call when that code asks for something, and Pause and Resume around
// whatever it does for that code and may have to wait for, or Continue in the place of
// Resume if there was nothing to wait for. The calls are made by the goroutine that
// runs ServeConn and cost nanoseconds.
type Watched interface {
	// Run notes that code of that name, as operators know it, runs from now on.
	// It may run for budget at a time without a Pause; 0 is without bound.
	Run(name string, budget time.Duration)
	// Call notes what the code has asked for, by a name that operators know, for
	// when it does not come back from what it does then.
	Call(name string)
	Pause()
	Resume()
	// Continue takes a Pause back: the time since the last Run or Resume goes on.
	Continue()
}

// Duplexer is a Conn that can be read by one goroutine while another writes. It
// may be that only then, as it costs some models something.
type Duplexer interface {
	Conn

	// Duplex(true) lets one goroutine call Read, and another one Write and
	// CloseWrite, until Duplex(false). Meanwhile anyone may set the deadlines,
	// also to end a call that is under way; those that were set before no longer
	// hold, neither then nor afterwards. Nothing else may be under way at either
	// call.
	Duplex(on bool) error
}
