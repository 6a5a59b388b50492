package conn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/mpm"
)

// session is one run of a guest: with a connection, or the preparation of an
// instance without one. It is the context its host functions get.
type session struct {
	context.Context
	guest.Guard
	plugin *Plugin
	conn   mpm.Conn     // nil while an instance is prepared
	id     fmt.Stringer // of the connection

	// step is told what is about to run, during a check; else nil.
	step func(what string)

	read, write limit
	deadWrites  int       // how many have failed because the connection is done for
	broken      bool      // the client has gone or waits: a read or write has failed
	stack       [1]uint64 // of a call
	budget      guest.LogBudget
}

// Timeouts bound each read and each write on a connection, where the guest
// sets no timeout of its own. 0 means none.
type Timeouts struct {
	Read, Write time.Duration
}

// limit is the timeout of one direction, and whether that is at its end.
type limit struct {
	timeout  time.Duration // the guest's own; 0 means that it has none
	fallback time.Duration // the listener's; 0 means none
	armed    bool          // the connection has a deadline set
	ended    bool          // no call waits any more
}

var _ guest.Session = (*session)(nil)

func sessionOf(ctx context.Context) *session {
	s, ok := ctx.(*session)
	if !ok {
		s = guest.SessionOf(ctx).(*session)
	}
	return s
}

// log is the plugin's logger, with the connection if there is one.
func (s *session) log() *slog.Logger {
	if s.conn == nil {
		return s.plugin.log
	}
	return s.plugin.log.With("connection", s.id.String())
}

// GuestLine logs a line of the guest's output.
func (s *session) GuestLine(stream string, line []byte) {
	if s.plugin.log.Enabled(s.Context, slog.LevelInfo) && s.budget.Take(len(line)) {
		s.log().InfoContext(s.Context, "guest output", "stream", stream, "text", guest.LogText(line))
	}
}

// Args is the plugin's name and what it was given.
func (s *session) Args() []string { return s.plugin.args }

// Environ is what it was given.
func (s *session) Environ() []string { return s.plugin.environ }

// Module is what runs.
func (s *session) Module() *guest.Module { return s.plugin.pool.Module() }

// end logs what is known of a run at its end only.
func (s *session) end() { s.budget.LogDropped(s.Context, s.log) }

// note keeps in mind what a call says of the direction. After a timeout, the next
// one waits again.
func (l *limit) note(err error) {
	l.ended = l.ended || err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// deadline prepares the connection for one read or write, which is to end at last
// at the given time; zero is never.
func (l *limit) deadline(set func(time.Time) error, last time.Time) error {
	at := last
	if timeout := cmp.Or(l.timeout, l.fallback); timeout > 0 {
		if own := time.Now().Add(timeout); last.IsZero() || own.Before(last) {
			at = own
		}
	}
	if !at.IsZero() {
		l.armed = true
		return set(at)
	}
	if l.armed {
		l.armed = false
		return set(time.Time{})
	}
	return nil
}
