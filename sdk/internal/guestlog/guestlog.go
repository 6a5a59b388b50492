// Package guestlog brings what a guest logs to the server's error log. Both
// ABIs of the SDK use it, each with its own log function, so it imports
// neither of them.
//
// It does not import log/slog, which adds 800 KB to a guest that does not use
// it. It need not: slog's default handler writes through package log, as
// "LEVEL message key=value", and log's output is taken over here.
package guestlog

import (
	"bytes"
	"fmt"
	"log"
	"runtime/debug"

	"github.com/apphost/apphost/sdk/abi"
)

// Sink is the log of one ABI.
type Sink struct {
	// Enabled reports whether the server keeps messages of a level, one of
	// the abi.Level constants. Nil means that it keeps all.
	Enabled func(level int32) bool
	// Log writes one message.
	Log func(level int32, message string)
}

// Install sends everything that package log, and slog's default handler on
// top of it, writes to s. The server adds the time, so log's own is turned
// off.
func Install(s Sink) {
	log.SetFlags(0)
	log.SetOutput(s)
}

// Write takes one line of package log. It never fails.
func (s Sink) Write(line []byte) (int, error) {
	level, message := split(bytes.TrimSuffix(line, []byte("\n")))
	if s.Enabled == nil || s.Enabled(level) {
		s.Log(level, string(message))
	}
	return len(line), nil
}

// Panicked logs a panic's value and stack at level error.
func (s Sink) Panicked(value any) {
	s.Log(abi.LevelError, fmt.Sprintf("panic: %v\n\n%s", value, debug.Stack()))
}

// split takes the level off a line: "WARN disk full used=97%" is
// (LevelWarn, "disk full used=97%"). A line without one is at level info.
// Levels between slog's names, such as INFO+2, count as the named one, and so
// do those below, such as DEBUG-4.
func split(line []byte) (level int32, message []byte) {
	word, rest, found := bytes.Cut(line, []byte(" "))
	if !found {
		return abi.LevelInfo, line
	}
	if sign := bytes.IndexAny(word, "+-"); sign >= 0 {
		word = word[:sign]
	}
	switch string(word) {
	case "DEBUG":
		return abi.LevelDebug, rest
	case "INFO":
		return abi.LevelInfo, rest
	case "WARN":
		return abi.LevelWarn, rest
	case "ERROR":
		return abi.LevelError, rest
	}
	return abi.LevelInfo, line
}
