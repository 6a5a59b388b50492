package accesslog

import (
	"io"
	"log/slog"
	"sync/atomic"
)

// LineBytesMax is the longest line, with its end. So much is written at once or
// not at all, in a pipe, too (PIPE_BUF, pipe(7)).
const LineBytesMax = 4096

// Config says what a log is like.
type Config struct {
	// Format passes CheckFormat.
	Format string
	// To gets each line in one Write.
	To io.Writer
	// Generation and Slot say which child this is.
	Generation uint64
	Slot       int
	// Logger is told when lines cannot be written, and when they can again.
	Logger *slog.Logger
}

// Log is an access log. Many goroutines may use it.
type Log struct {
	format     format
	to         io.Writer
	generation uint64
	slot       int
	logger     *slog.Logger

	lost atomic.Int64 // since the last line that could be written
}

// New returns a log.
func New(c Config) (*Log, error) {
	f, err := parse(c.Format)
	if err != nil {
		return nil, err
	}
	return &Log{format: f, to: c.To, generation: c.Generation, slot: c.Slot, logger: c.Logger}, nil
}

// JSON reports whether lines are objects: others cannot tell connections, which
// have no request, from requests.
func (l *Log) JSON() bool { return l.format.json }

// Append appends the line for e, and its end, to dst.
func (l *Log) Append(dst []byte, e *Entry) []byte {
	start := len(dst)
	if l.format.json {
		dst = l.appendJSONLine(dst, e)
	} else {
		dst = l.appendText(dst, e)
	}
	if len(dst)-start > LineBytesMax-1 {
		dst = dst[:start+LineBytesMax-1]
	}
	return append(dst, '\n')
}

// Write writes a line. If that fails the line is lost, and nothing else: the
// first one in a row is reported, and how many there were when one gets through.
func (l *Log) Write(line []byte) {
	if _, err := l.to.Write(line); err != nil {
		if l.lost.Add(1) == 1 {
			l.logger.Error("lines of the access log are lost", "err", err)
		}
		return
	}
	if l.lost.Load() > 0 {
		if n := l.lost.Swap(0); n > 0 {
			l.logger.Warn("lines of the access log were lost", "lines", n)
		}
	}
}
