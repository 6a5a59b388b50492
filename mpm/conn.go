package mpm

import (
	"context"
	"net"
)

// ConnHandler serves connections inside a child process.
type ConnHandler interface {
	// ServeConn serves c and returns when it is done with it. It must not
	// close c: the model does so afterwards, and lets the peer read what was
	// written first. Whatever goes wrong inside is for the handler to log.
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

// Duplexer is a Conn that can be read by one goroutine while another writes.
// Models for which that costs something do not offer it all the time.
type Duplexer interface {
	Conn

	// Duplex(true) lets one goroutine call Read, and another one Write and
	// CloseWrite, until Duplex(false). Meanwhile anyone
	// may set the deadlines, also to end a call that is under way; those that
	// were set before no longer hold, neither then nor afterwards. Nothing else
	// may be under way at either call.
	Duplex(on bool) error
}
