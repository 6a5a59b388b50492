package conn

import (
	"context"
	"log/slog"
	"time"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/mpm"
)

// session is one run of a guest: with a connection, or the preparation of an
// instance without one. It is the context its host functions get.
type session struct {
	context.Context
	plugin *Plugin
	conn   mpm.Conn // nil while an instance is prepared
	id     string   // of the connection

	// step is told what is about to run, during a check; else nil.
	step func(what string)

	read, write limit
}

// limit is the timeout of one direction.
type limit struct {
	timeout time.Duration // 0 means none
	armed   bool          // the connection has a deadline set
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
	return s.plugin.log.With("connection", s.id)
}

// GuestLine logs a line of the guest's output.
func (s *session) GuestLine(stream string, line []byte) {
	s.log().InfoContext(s.Context, "guest output", "stream", stream, "text", guest.LogText(line))
}

// deadline prepares the connection for one read or write.
func (l *limit) deadline(set func(time.Time) error) error {
	if l.timeout > 0 {
		l.armed = true
		return set(time.Now().Add(l.timeout))
	}
	if l.armed {
		l.armed = false
		return set(time.Time{})
	}
	return nil
}
