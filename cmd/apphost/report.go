package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// reporter is a candidate's log: what guests and host say while they are tried
// out is for whoever asked for the trial, not for the server's log. Warnings
// are passed on at once; the rest is kept, and becomes the explanation if the
// trial fails. It may be used by many goroutines.
type reporter struct {
	warn func(line string)

	mu   sync.Mutex
	kept []string // the last lines that were no warnings
}

// keptMax is enough for a guest's panic with its stack.
const keptMax = 40

func (r *reporter) say(level slog.Level, line string) {
	if level == slog.LevelWarn {
		r.warn(line)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, line)
	if len(r.kept) > keptMax {
		r.kept = slices.Delete(r.kept, 0, len(r.kept)-keptMax)
	}
}

// explain puts what was kept before an error, a line each.
func (r *reporter) explain(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []error
	for _, l := range r.kept {
		lines = append(lines, errors.New(l))
	}
	return errors.Join(append(lines, err)...)
}

// reportHandler turns log records into lines for a reporter.
type reportHandler struct {
	to    *reporter
	attrs []slog.Attr
}

var _ slog.Handler = reportHandler{}

func (h reportHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

func (h reportHandler) Handle(_ context.Context, record slog.Record) error {
	attrs := slices.Clone(h.attrs)
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
		case "slot", "generation", "stream": // a candidate has neither slot nor generation
		default:
			line += fmt.Sprintf("; %s: %s", a.Key, a.Value)
		}
	}
	for l := range strings.Lines(line) {
		if l = strings.TrimSpace(l); l != "" {
			h.to.say(record.Level, subject+l)
		}
	}
	return nil
}

func (h reportHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return reportHandler{to: h.to, attrs: append(slices.Clone(h.attrs), attrs...)}
}

// WithGroup ignores groups, which neither host nor guests use.
func (h reportHandler) WithGroup(string) slog.Handler { return h }
