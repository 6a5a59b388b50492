package main

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"github.com/apphost/apphost/cmd/apphost/internal/config"
)

// newLogger writes records to w, one write each, so that the lines of many
// processes do not mix.
func newLogger(w io.Writer, log config.Log) *slog.Logger {
	terminal := false
	if f, ok := w.(interface{ Fd() uintptr }); ok {
		terminal = term.IsTerminal(int(f.Fd()))
	}
	return slog.New(lossHandler{newHandler(w, log, terminal), new(atomic.Int64)})
}

func newHandler(w io.Writer, log config.Log, terminal bool) slog.Handler {
	if log.Format == "text" || (log.Format == "auto" && terminal) {
		return tint.NewTextHandler(w, &tint.Options{
			Level: log.Level, TimeFormat: time.TimeOnly, NoColor: !terminal,
		})
	}
	return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: log.Level})
}

// lossHandler says in the log how many records are missing before this one: a
// full disk, or a reader that does not read, does not stop the server.
type lossHandler struct {
	slog.Handler
	lost *atomic.Int64
}

// Handle implements slog.Handler.
func (h lossHandler) Handle(ctx context.Context, record slog.Record) error {
	if n := h.lost.Swap(0); n > 0 {
		loss := slog.NewRecord(time.Now(), slog.LevelError, "log records were lost", 0)
		loss.AddAttrs(slog.Int64("records", n))
		if err := h.Handler.Handle(ctx, loss); err != nil {
			h.lost.Add(n)
		}
	}
	err := h.Handler.Handle(ctx, record)
	if err != nil {
		h.lost.Add(1)
	}
	return err
}

// WithAttrs implements slog.Handler.
func (h lossHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return lossHandler{h.Handler.WithAttrs(attrs), h.lost}
}

// WithGroup implements slog.Handler.
func (h lossHandler) WithGroup(name string) slog.Handler {
	return lossHandler{h.Handler.WithGroup(name), h.lost}
}
