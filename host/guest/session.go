package guest

import (
	"context"
	"io"
)

// Session is one run of a guest: the context its host functions get, and
// where its output goes. An ABI implements it with a struct of its own and
// finds it back in a host function by a type assertion on the context.
type Session interface {
	context.Context

	// GuestLine takes a line the guest wrote to the stream, "stdout" or
	// "stderr", without its end. The bytes are valid until it returns.
	GuestLine(stream string, line []byte)

	// Args and Environ are what the guest was started with, in the words of
	// WASI: the name first, and NAME=VALUE.
	Args() []string
	Environ() []string
}

// Streams is a session whose guest has standard streams that lead somewhere:
// for others, stdin is at its end and stdout a log. Stderr is a log for all.
type Streams interface {
	Stdin() io.Reader
	Stdout() io.Writer
}

// Ending is implemented by streams of a session that know when no call of them has
// to wait any more: at the end of the input, or when the client is gone. From then
// on their calls are the guest's own time, so that a guest that calls on and on is
// found to run without end.
type Ending interface{ Ended() bool }

// Owned is a session that knows what it is a run of: for others, it is not logged
// that a guest was refused files.
type Owned interface {
	Module() *Module
}

type sessionKey struct{}

// SessionOf finds the session in a context that the engine has wrapped, as it
// does while a module's own start function runs. It is the slow way; nearly
// always the context is the session.
func SessionOf(ctx context.Context) Session {
	s, ok := ctx.Value(sessionKey{}).(Session)
	if !ok {
		panic("BUG: a guest runs without a session")
	}
	return s
}
