package logs

import (
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// Stream writes log records to a descriptor, one write each, so that the
// records of many processes do not mix. It may be used by many goroutines.
type Stream struct {
	fd       sys.FD
	patience time.Duration

	mu      sync.Mutex
	own     sys.FD // a description of our own for what fd refers to, or None
	socket  bool   // fd is one
	polled  bool   // fd is a pipe that we must not open: ask for room before
	torn    bool   // the last record is there in part
	stalled bool   // the reader was waited for in vain
}

// NewStream writes to a descriptor of this process, which the stream may
// redirect and never closes. patience is how long a record waits for a reader
// that does not read, a paused pager say, until it is lost; then no record waits
// until one gets through. Without end if it is negative.
func NewStream(fd int, patience time.Duration) *Stream {
	s := &Stream{fd: sys.FD(fd), patience: patience, own: sys.None}
	s.settle()
	return s
}

// settle finds out how to write without waiting. Files never make one wait for
// a reader.
func (s *Stream) settle() {
	_ = s.own.Close()
	s.own, s.socket, s.polled, s.torn, s.stalled = sys.None, false, false, false, false
	if s.patience < 0 {
		return
	}
	s.own = s.fd.Unblocked()
	s.socket = s.fd.IsSocket()
	s.polled = s.own == sys.None && s.fd.IsPipe()
}

// Fd is the descriptor, for those who want to know whether it is a terminal.
func (s *Stream) Fd() uintptr { return uintptr(s.fd) }

// Write writes one record. An error means that it is not in the log, or not
// all of it; the record after it begins on a line of its own.
func (s *Stream) Write(record []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := record
	if s.torn {
		rest = append([]byte{'\n'}, record...)
	}
	whole := len(rest)
	var deadline time.Time
	for len(rest) > 0 {
		n, err := s.put(rest)
		rest = rest[n:]
		if errors.Is(err, syscall.EAGAIN) {
			if deadline.IsZero() {
				deadline = s.deadline()
			}
			if s.await(deadline) {
				continue
			}
			s.stalled = true
			err = errStalled
		}
		if err != nil {
			s.torn = len(rest) < whole || s.torn
			return 0, err
		}
		s.stalled = false
	}
	s.torn = false
	return len(record), nil
}

// errStalled is a record's loss to a reader that does not read.
var errStalled = errors.New("write log: nobody reads it")

func (s *Stream) put(p []byte) (int, error) {
	switch {
	case s.own != sys.None:
		return s.own.Write(p)
	case s.socket:
		return s.fd.TrySend(p)
	case s.polled && !s.await(time.Now()):
		return 0, syscall.EAGAIN
	default:
		return s.fd.Write(p)
	}
}

// deadline of a record that begins to wait now; zero means none.
func (s *Stream) deadline() time.Time {
	switch {
	case s.patience < 0:
		return time.Time{}
	case s.stalled:
		return time.Now()
	}
	return time.Now().Add(s.patience)
}

// await reports whether there is room before the deadline.
func (s *Stream) await(deadline time.Time) bool {
	wake, err := sys.WaitSocket(s.fd, sys.Writable, deadline)
	return err == nil && wake == sys.WakeSocket
}

// Redirect makes the descriptor refer to another open file. When it returns, no
// record goes to the old one any more.
func (s *Stream) Redirect(to sys.FD) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := to.Replace(s.fd); err != nil {
		return err
	}
	s.settle()
	return nil
}
