package main

import (
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"github.com/apphost/apphost/cmd/apphost/internal/config"
)

// newLogger writes records to w, one write each, so that the lines of many
// processes do not mix.
func newLogger(w io.Writer, log config.Log) *slog.Logger {
	terminal := false
	if f, ok := w.(*os.File); ok {
		terminal = term.IsTerminal(int(f.Fd()))
	}
	if log.Format == "text" || (log.Format == "auto" && terminal) {
		return slog.New(tint.NewTextHandler(w, &tint.Options{
			Level: log.Level, TimeFormat: time.TimeOnly, NoColor: !terminal,
		}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: log.Level}))
}
