package sys

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// RefuseNew makes a listening TCP socket, in every process that has it, take
// no further connection, and keep those that it has: its queue can be accepted
// to the end, and a handshake that is under way completes. Who connects from
// now on gets no answer, as with a full backlog, until the socket is closed,
// and is refused then.
//
// shutdown(2) is no way to do this, in either direction: it resets the queue.
// A classic BPF filter is; the kernel runs it on the TCP header of each
// segment for the listener. Connections accepted later inherit it, where it
// has nothing to do.
func (fd FD) RefuseNew() error {
	const (
		flags = 13 // offset in the TCP header
		syn   = 0x02
		all   = 0xffffffff
	)
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jt: 0, Jf: 1, K: syn},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: all},
	}
	err := unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if err != nil {
		return fmt.Errorf("refuse new connections: %w", err)
	}
	return nil
}

// Waiting reports whether a listening socket of any kind has a connection to
// accept.
func (fd FD) Waiting() (bool, error) {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds[:], 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("look into accept queue: %w", err)
		}
		return n > 0, nil
	}
}
