package sys

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// OpenAppend opens a file to write log lines to its end, and makes it, with
// mode 0640, if there is none. It does not wait for anybody: what is neither
// a file nor a character device, such as a FIFO without a reader, is an error.
func OpenAppend(path string) (FD, error) {
	const flags = unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT | unix.O_CLOEXEC | unix.O_NOCTTY | unix.O_NONBLOCK
	for {
		fd, err := unix.Open(path, flags, 0o640)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return None, err
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			_ = unix.Close(fd)
			return None, err
		}
		if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG && kind != unix.S_IFCHR {
			_ = unix.Close(fd)
			return None, errors.New("it is neither a file nor a character device")
		}
		return FD(fd), nil
	}
}

// IsAt reports whether path leads to the open file.
func (fd FD) IsAt(path string) bool {
	var ours, there unix.Stat_t
	return unix.Fstat(int(fd), &ours) == nil && unix.Stat(path, &there) == nil &&
		ours.Dev == there.Dev && ours.Ino == there.Ino
}

// Dup is another descriptor for the same open file, which is closed on exec.
func (fd FD) Dup() (FD, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return None, fmt.Errorf("duplicate descriptor %d: %w", fd, err)
	}
	return FD(n), nil
}

// Replace makes the descriptor old refer to what fd does. A write to old by
// another thread goes to the one or the other. See dup2(2).
func (fd FD) Replace(old FD) error {
	flags := unix.O_CLOEXEC
	if old <= 2 {
		flags = 0
	}
	if err := unix.Dup3(int(fd), int(old), flags); err != nil {
		return fmt.Errorf("replace descriptor %d: %w", old, err)
	}
	return nil
}

// Unblocked is a descriptor of its own for the pipe or terminal that fd refers
// to, whose writes do not wait for a reader. O_NONBLOCK on fd itself would be
// seen by everybody who shares it. It returns None for anything else, and where
// the kernel does not let us: it asks for the permission to open it once more.
func (fd FD) Unblocked() FD {
	var st unix.Stat_t
	if unix.Fstat(int(fd), &st) != nil {
		return None
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFIFO && kind != unix.S_IFCHR {
		return None
	}
	const flags = unix.O_WRONLY | unix.O_APPEND | unix.O_CLOEXEC | unix.O_NOCTTY | unix.O_NONBLOCK
	own, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), flags, 0)
	if err != nil {
		return None
	}
	return FD(own)
}

// IsSocket reports whether the descriptor is a socket.
func (fd FD) IsSocket() bool {
	var st unix.Stat_t
	return unix.Fstat(int(fd), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK
}

// TrySend is Send that does not wait, whatever the socket is set to.
func (fd FD) TrySend(p []byte) (int, error) {
	for {
		n, err := unix.SendmsgN(int(fd), p, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0), err
		}
	}
}
