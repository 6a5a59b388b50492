package guest

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/apphost/apphost/mpm"
)

// connectionKey finds the connection in a context.
type connectionKey struct{}

// connection is what runs of a guest need to know of theirs.
type connection struct {
	id    fmt.Stringer
	watch mpm.Watched
}

// WithConnection adds a connection to a context: its id, for the logs of what is
// served with it, and what watches over guests, if there is something. An id that
// has a method Request, too, says what request the connection is at.
func WithConnection(ctx context.Context, id fmt.Stringer, watch mpm.Watched) context.Context {
	return context.WithValue(ctx, connectionKey{}, &connection{id, watch})
}

// ConnectionLogger is log with the connection of ctx, if there is one.
func ConnectionLogger(ctx context.Context, log *slog.Logger) *slog.Logger {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok {
		return log
	}
	if r, ok := c.id.(interface{ Request() string }); ok {
		return log.With("connection", c.id.String(), "request", r.Request())
	}
	return log.With("connection", c.id.String())
}

// WatchOf is what watches over the guests of ctx's connection, or nil.
func WatchOf(ctx context.Context) mpm.Watched {
	if c, ok := ctx.Value(connectionKey{}).(*connection); ok {
		return c.watch
	}
	return nil
}
