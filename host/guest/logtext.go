package guest

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/apphost/apphost/sdk/abi"
)

// LogLevel is the level for one of the abi.Level constants below LevelNone,
// or false for any other number.
func LogLevel(level int32) (slog.Level, bool) {
	switch level {
	case abi.LevelDebug:
		return slog.LevelDebug, true
	case abi.LevelInfo:
		return slog.LevelInfo, true
	case abi.LevelWarn:
		return slog.LevelWarn, true
	case abi.LevelError:
		return slog.LevelError, true
	}
	return 0, false
}

// LogText makes bytes of a guest fit for a log: no longer than
// abi.LogBytesMax, with "…" where it was cut, and valid UTF-8, with U+FFFD
// for what is not.
func LogText(p []byte) string { return cutText(p, abi.LogBytesMax) }

func cutText(p []byte, most int) string {
	cut := len(p) > most
	if cut {
		p = p[:most]
	}
	text := strings.ToValidUTF8(string(p), "\uFFFD")
	if cut {
		text += "…"
	}
	return text
}

// LogFailure logs at error level that a run failed, with the guest's stack.
// The host's stack, which says something to those who debug the host only,
// follows at debug level.
func LogFailure(ctx context.Context, log *slog.Logger, message string, err error) {
	f, ok := errors.AsType[*Failure](err)
	if !ok {
		log.ErrorContext(ctx, message, "error", err)
		return
	}
	if f.Kind == Overtime {
		log.ErrorContext(ctx, "a plugin took too long; ending it", "timeout", f.Limit.String(), "host_call", f.Call, "in", f.Func, "stack", f.Stack)
		return
	}
	log.ErrorContext(ctx, message, "error", f, "stack", f.Stack)
	if f.HostStack != "" {
		log.DebugContext(ctx, "host stack of a failed guest", "stack", f.HostStack)
	}
}
