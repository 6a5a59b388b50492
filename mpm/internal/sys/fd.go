package sys

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// FD is an open descriptor. The zero value is not usable; None stands for no
// descriptor.
type FD int

// None is the absence of a descriptor.
const None FD = -1

// Close closes the descriptor. Closing None does nothing.
func (fd FD) Close() error {
	if fd == None {
		return nil
	}
	return unix.Close(int(fd))
}

// CloseOnExec keeps the descriptor from the programs this process executes.
func (fd FD) CloseOnExec() {
	unix.CloseOnExec(int(fd))
}

// SetNonblock sets O_NONBLOCK on the open file description, which every
// process that shares it sees.
func (fd FD) SetNonblock() error {
	return unix.SetNonblock(int(fd), true)
}

// SetBlock clears O_NONBLOCK; see SetNonblock.
func (fd FD) SetBlock() error {
	return unix.SetNonblock(int(fd), false)
}

// Read reads once. It returns 0 and no error at the end of the stream, and
// unix.EAGAIN where a non-blocking descriptor has nothing.
func (fd FD) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(fd), p)
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0), err
		}
	}
}

// Write writes once, and may write less than all of p.
func (fd FD) Write(p []byte) (int, error) {
	for {
		n, err := unix.Write(int(fd), p)
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0), err
		}
	}
}

// IsPipe reports whether the descriptor is one end of a pipe.
func (fd FD) IsPipe() bool {
	var st unix.Stat_t
	return unix.Fstat(int(fd), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}

// IsListener reports whether the descriptor is a listening socket.
func (fd FD) IsListener() bool {
	on, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && on == 1
}

// Pipe makes a pipe whose ends are both non-blocking. See pipe(2).
func Pipe() (r, w FD, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return None, None, fmt.Errorf("make pipe: %w", err)
	}
	return FD(p[0]), FD(p[1]), nil
}

// Closed reports whether all write ends of the pipe r are closed, which is
// how one process learns of another's death or decision.
func Closed(r FD) bool {
	fds := [1]unix.PollFd{{Fd: int32(r)}}
	n, err := unix.Poll(fds[:], 0)
	return err == nil && n == 1 && fds[0].Revents&unix.POLLHUP != 0
}
