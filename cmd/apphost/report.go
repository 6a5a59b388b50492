package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// reporter is a candidate's log: what a guest or the host finds worth a
// warning while it is tried out is told to whoever asked for the trial,
// instead of being left in the server's log. The rest is dropped; the children
// will say it again.
type reporter struct {
	warn  func(line string)
	attrs []slog.Attr
}

var _ slog.Handler = (*reporter)(nil)

func (r *reporter) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

func (r *reporter) Handle(_ context.Context, record slog.Record) error {
	attrs := slices.Clone(r.attrs)
	record.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	subject, line := "", record.Message
	for _, a := range attrs {
		switch a.Key {
		case "plugin":
			subject = fmt.Sprintf("plugin %q: ", a.Value)
		case "text": // a guest's own words need no message around them
			line = a.Value.String()
		case "slot", "generation": // a candidate has neither
		default:
			line += fmt.Sprintf("; %s: %s", a.Key, a.Value)
		}
	}
	for l := range strings.Lines(line) {
		r.warn(subject + strings.TrimSpace(l))
	}
	return nil
}

func (r *reporter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &reporter{warn: r.warn, attrs: append(slices.Clone(r.attrs), attrs...)}
}

// WithGroup ignores groups, which neither host nor guests use.
func (r *reporter) WithGroup(string) slog.Handler { return r }
