//go:build unix

package apphosttest

import (
	"bytes"
	"encoding/json"
	"io"
	"sync"
	"time"
)

// logReader collects the server's log.
type logReader struct {
	mu      sync.Mutex
	raw     bytes.Buffer
	partial []byte
	entries []map[string]any
	changed chan struct{} // closed and replaced at each change
	over    bool
}

var _ io.Writer = (*logReader)(nil)

func newLogReader() *logReader {
	return &logReader{changed: make(chan struct{})}
}

func (l *logReader) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.raw.Write(p)
	l.partial = append(l.partial, p...)
	for {
		line, rest, found := bytes.Cut(l.partial, []byte("\n"))
		if !found {
			break
		}
		var entry map[string]any
		if json.Unmarshal(line, &entry) == nil {
			l.entries = append(l.entries, entry)
		}
		l.partial = append([]byte(nil), rest...)
	}
	l.wakeLocked()
	return len(p), nil
}

func (l *logReader) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.wakeLocked()
}

func (l *logReader) wakeLocked() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *logReader) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.raw.String()
}

func (l *logReader) wait(message string, match func(map[string]any) bool) (map[string]any, bool) {
	timeout := time.After(Patience)
	for seen := 0; ; {
		l.mu.Lock()
		entries, changed, over := l.entries[seen:], l.changed, l.over
		seen = len(l.entries)
		l.mu.Unlock()
		for _, e := range entries {
			if e["msg"] == message && (match == nil || match(e)) {
				return e, true
			}
		}
		if over {
			return nil, false
		}
		select {
		case <-changed:
		case <-timeout:
			return nil, false
		}
	}
}
