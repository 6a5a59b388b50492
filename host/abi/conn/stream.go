package conn

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/sdk/abi"
)

// connRead implements abi.ConnRead.
func connRead(c call) (uint32, abi.Errno) {
	s, n := c.s, c.arg(1)
	if s.conn == nil {
		return 0, abi.ENOTCONN
	}
	if n == 0 {
		return 0, abi.EINVAL
	}
	buf, ok := c.mem.BytesUpTo(c.arg(0), min(n, math.MaxInt32))
	if !ok {
		return 0, abi.EFAULT
	}
	if err := s.read.deadline(s.conn.SetReadDeadline, time.Time{}); err != nil {
		return 0, s.errno("set read deadline", err)
	}
	s.conn.SetState(mpm.StateReading)
	s.Rest()
	waits := !s.read.ended
	if waits {
		s.Pause()
	}
	got, err := s.conn.Read(buf)
	for got == 0 && err == nil {
		got, err = s.conn.Read(buf)
	}
	if waits {
		s.Resume()
	}
	s.Work(got > 0)
	s.EndOvertime()
	s.conn.SetState(mpm.StateWriting)
	s.read.note(err)
	// Bytes first: whatever ended the stream is there at the next read.
	if got > 0 || errors.Is(err, io.EOF) {
		return uint32(got), 0
	}
	return 0, s.errno("read", err)
}

// connWrite implements abi.ConnWrite.
func connWrite(c call) (uint32, abi.Errno) {
	s, n := c.s, c.arg(1)
	if s.conn == nil {
		return 0, abi.ENOTCONN
	}
	if n > math.MaxInt32 {
		return 0, abi.EINVAL
	}
	buf, ok := c.mem.Bytes(c.arg(0), n)
	if !ok {
		return 0, abi.EFAULT
	}
	if err := s.write.deadline(s.conn.SetWriteDeadline, s.Until()); err != nil {
		return 0, s.errno("set write deadline", err)
	}
	waits := n > 0 && !s.write.ended
	if waits {
		s.Pause()
	}
	_, err := s.conn.Write(buf)
	if waits {
		s.Resume()
	}
	s.write.note(err)
	s.EndOvertime()
	if err != nil {
		s.failedWrite(err)
		return 0, s.errno("write", err)
	}
	return n, 0
}

// deadWritesMax is how many writes of a run may fail before it is ended: enough
// for a guest that looks at errors now and then, and has something to save.
const deadWritesMax = 100

// failedWrite ends a guest that writes on to nobody. A write that took too long is
// none of these: the guest may try again.
func (s *session) failedWrite(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	if s.deadWrites++; s.deadWrites > deadWritesMax {
		guest.Stop(fmt.Errorf("%d writes failed: %w", s.deadWrites, err))
	}
}

// connShutdown implements abi.ConnShutdown.
func connShutdown(c call) (uint32, abi.Errno) {
	s := c.s
	if s.conn == nil {
		return 0, abi.ENOTCONN
	}
	if c.arg(0) != abi.ShutdownWrite {
		return 0, abi.EINVAL
	}
	if err := s.conn.CloseWrite(); err != nil {
		return 0, s.errno("close for writing", err)
	}
	return 0, 0
}

// connSetTimeout implements abi.ConnSetTimeout.
func connSetTimeout(c call) (uint32, abi.Errno) {
	s := c.s
	if s.conn == nil {
		return 0, abi.ENOTCONN
	}
	timeout := time.Duration(c.arg(1)) * time.Millisecond
	switch c.arg(0) {
	case abi.TimeoutRead:
		s.read.timeout = timeout
	case abi.TimeoutWrite:
		s.write.timeout = timeout
	default:
		return 0, abi.EINVAL
	}
	return 0, 0
}

// errno is what a guest is told of err. One that has no number of its own is
// logged, for the guest cannot say more than that it failed.
func (s *session) errno(op string, err error) abi.Errno {
	s.broken = true
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return abi.ETIMEDOUT
	case errors.Is(err, syscall.ECONNRESET):
		return abi.ECONNRESET
	case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ENOTCONN),
		errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return abi.EPIPE
	case errors.Is(err, syscall.ETIMEDOUT): // the kernel gave up on the peer
		return abi.ETIMEDOUT
	}
	if s.budget.Take(0) { // a guest may try for ever
		s.log().WarnContext(s.Context, "connection failed", "op", op, "error", err)
	}
	return abi.EIO
}
