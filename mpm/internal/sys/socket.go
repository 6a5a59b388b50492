package sys

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Accept takes one connection off a listener, as a non-blocking socket, and
// returns its peer's address too.
func (fd FD) Accept() (FD, net.Addr, error) { return fd.accept(unix.SOCK_NONBLOCK) }

// AcceptBlocking is Accept of a socket whose reads wait, without end until
// LimitReads.
func (fd FD) AcceptBlocking() (FD, net.Addr, error) { return fd.accept(0) }

// LimitReads bounds how long a read of a blocking socket waits, which then fails
// with unix.EAGAIN. The kernel counts in its ticks, of up to 10 ms, and rounds up.
func (fd FD) LimitReads(d time.Duration) error {
	limit := unix.NsecToTimeval(d.Nanoseconds())
	if err := unix.SetsockoptTimeval(int(fd), unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return fmt.Errorf("set receive timeout: %w", err)
	}
	return nil
}

func (fd FD) accept(flags int) (FD, net.Addr, error) {
	for {
		// The one of x/sys asks for the socket's protocol with another call.
		s, sa, err := syscall.Accept4(int(fd), unix.SOCK_CLOEXEC|flags)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return None, nil, err
		default:
			return FD(s), address(sa), nil
		}
	}
}

// ShutdownWrite sends the end of the stream; Shutdown also ends a read that
// is under way. See shutdown(2).
func (fd FD) ShutdownWrite() error { return unix.Shutdown(int(fd), unix.SHUT_WR) }

// Shutdown ends both directions without closing the descriptor. A listener
// stops listening, in every process that has it.
func (fd FD) Shutdown() error { return unix.Shutdown(int(fd), unix.SHUT_RDWR) }

// ReadOnce is Read that a signal may end early, with unix.EINTR.
func (fd FD) ReadOnce(p []byte) (int, error) {
	n, err := unix.Read(int(fd), p)
	return max(n, 0), err
}

// Peek is a Read of one byte that leaves it where it is, and never waits.
func (fd FD) Peek() (int, error) {
	var p [1]byte
	return fd.transfer(unix.SYS_RECVFROM, p[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
}

// ReadNow is Read of a socket that never waits, whether it is non-blocking or not.
func (fd FD) ReadNow(p []byte) (int, error) {
	return fd.transfer(unix.SYS_RECVFROM, p, unix.MSG_DONTWAIT)
}

// Send is Write of a socket that never waits, whether it is non-blocking or not.
func (fd FD) Send(p []byte) (int, error) {
	return fd.transfer(unix.SYS_SENDTO, p, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// transfer makes the call itself: the one of x/sys for sending does not say how much
// was sent, and that for receiving makes room for an address.
func (fd FD) transfer(call uintptr, p []byte, flags uintptr) (int, error) {
	for {
		n, _, errno := unix.Syscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// Polled returns a non-blocking socket as a file, which waits by the runtime's
// poller. It has a descriptor of its own: closing one closes not the other. (A
// net.Conn would also change the options of the socket.)
func (fd FD) Polled() (*os.File, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate socket: %w", err)
	}
	return os.NewFile(uintptr(own), "socket"), nil
}

// Interest is what WaitSocket waits for.
type Interest int16

// The interests.
const (
	Ended    Interest = 0 // the other end is closed, of a pipe
	Readable Interest = unix.POLLIN
	Writable Interest = unix.POLLOUT
)

// Wake says what ended a WaitSocket.
type Wake int

// The outcomes of WaitSocket.
const (
	WakeTimeout Wake = iota // the deadline passed
	WakeSocket              // the socket is ready, or has failed
	WakePipe                // one of the pipes was closed, and the socket is not ready
)

// WaitSocket waits until the socket is ready for what is asked, one of pipes
// is closed by its writers, or the deadline (zero: none) passes. At most two
// pipes are looked at.
func WaitSocket(fd FD, what Interest, deadline time.Time, pipes ...FD) (Wake, error) {
	var fds [3]unix.PollFd
	fds[0] = unix.PollFd{Fd: int32(fd), Events: int16(what)}
	n := 1
	for _, p := range pipes {
		fds[n] = unix.PollFd{Fd: int32(p)}
		n++
	}
	for {
		timeout := -1
		if !deadline.IsZero() {
			timeout = milliseconds(max(0, time.Until(deadline)))
		}
		ready, err := unix.Poll(fds[:n], timeout)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return WakeTimeout, fmt.Errorf("wait for socket: %w", err)
		case ready == 0:
			return WakeTimeout, nil
		case fds[0].Revents != 0:
			return WakeSocket, nil
		default:
			return WakePipe, nil
		}
	}
}
