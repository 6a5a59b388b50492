package guest

import (
	"context"
	"fmt"
	"log/slog"
)

// connectionKey finds the connection's id in a context.
type connectionKey struct{}

// WithConnection adds the connection's id to a context, for the logs of what
// is served with it. One that has a method Request, too, says what request the
// connection is at.
func WithConnection(ctx context.Context, id fmt.Stringer) context.Context {
	return context.WithValue(ctx, connectionKey{}, id)
}

// ConnectionLogger is log with the connection of ctx, if there is one.
func ConnectionLogger(ctx context.Context, log *slog.Logger) *slog.Logger {
	id, ok := ctx.Value(connectionKey{}).(fmt.Stringer)
	if !ok {
		return log
	}
	if r, ok := id.(interface{ Request() string }); ok {
		return log.With("connection", id.String(), "request", r.Request())
	}
	return log.With("connection", id.String())
}
