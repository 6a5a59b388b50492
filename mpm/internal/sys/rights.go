package sys

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// SocketPair makes two connected sockets that keep messages apart, for handing
// descriptors to another process. Both block; see SendFDs and RecvFDs.
func SocketPair() (ours, theirs FD, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return None, None, fmt.Errorf("make socket pair: %w", err)
	}
	return FD(pair[0]), FD(pair[1]), nil
}

// SendFDs passes descriptors on, which stay open here. It never waits:
// unix.EAGAIN means that the other side has yet to take earlier ones. See
// SCM_RIGHTS in unix(7).
func (fd FD) SendFDs(fds []FD) error {
	plain := make([]int, len(fds))
	for i, f := range fds {
		plain[i] = int(f)
	}
	for {
		err := unix.Sendmsg(int(fd), []byte{'!'}, unix.UnixRights(plain...), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// RecvFDs takes the descriptors of one SendFDs, at most limit. It waits for
// them, or returns unix.EAGAIN if the socket does not block; and io.EOF when the
// other side has gone.
func (fd FD) RecvFDs(limit int) ([]FD, error) {
	var data [1]byte
	rights := make([]byte, unix.CmsgSpace(4*limit))
	for {
		n, size, _, _, err := unix.Recvmsg(int(fd), data[:], rights, unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, fmt.Errorf("receive descriptors: %w", err)
		case n == 0:
			return nil, io.EOF
		}
		return parseRights(rights[:size])
	}
}

func parseRights(raw []byte) ([]FD, error) {
	messages, err := unix.ParseSocketControlMessage(raw)
	if err != nil {
		return nil, fmt.Errorf("receive descriptors: %w", err)
	}
	var fds []FD
	for i := range messages {
		got, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return fds, fmt.Errorf("receive descriptors: %w", err)
		}
		for _, f := range got {
			fds = append(fds, FD(f))
		}
	}
	return fds, nil
}

// Receive reads one message without waiting; with unix.EAGAIN there is none.
// Descriptors that came with it are dropped.
func (fd FD) Receive(p []byte) (int, error) {
	for {
		n, _, err := unix.Recvfrom(int(fd), p, unix.MSG_DONTWAIT)
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0), err
		}
	}
}
