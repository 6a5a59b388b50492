//go:build unix

package sock

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// Quiet reports whether a connection is open and has nothing to read, as one has
// to be before a request is sent on it. It does not wait. The connection must
// have no read deadline that has passed.
func Quiet(c syscall.Conn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		quiet = errors.Is(err, unix.EAGAIN)
		return true
	})
	return quiet && err == nil
}
