package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// bindUnix listens on a path. The file of a socket that nobody listens on any
// longer, such as one of a server that was killed, is replaced; anything else
// there is not ours to remove.
func bindUnix(path string, l *mpm.Listener) (sys.FD, sys.FileID, error) {
	fd, err := sys.ListenUnix(path, l.Mode, l.GID, l.Backlog)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := removeStale(path); err != nil {
			return sys.None, sys.FileID{}, err
		}
		fd, err = sys.ListenUnix(path, l.Mode, l.GID, l.Backlog)
	}
	if err != nil {
		return sys.None, sys.FileID{}, explainUnix(err)
	}
	file, ok := sys.SocketFile(path)
	if !ok {
		_ = fd.Close()
		return sys.None, sys.FileID{}, errors.New("the socket's file was taken away as soon as it was made")
	}
	return fd, file, nil
}

// removeStale removes the socket at path if nobody answers there.
func removeStale(path string) error {
	before, ok := sys.SocketFile(path)
	if !ok {
		return errors.New("there is a file that is no socket; remove it or choose another path")
	}
	answers, err := sys.Answers(path)
	if err != nil {
		return err
	}
	if answers {
		return fmt.Errorf("another program or listener has it; stop that or choose another path: %w", syscall.EADDRINUSE)
	}
	if after, ok := sys.SocketFile(path); !ok || after != before {
		return errors.New("another program replaced it just now; try again")
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the socket that nobody listens on: %w", err)
	}
	return nil
}

// isUnix reports whether the socket has a file.
func (s *Socket) isUnix() bool { return s.Bound.Network() == "unix" }

// owns reports whether the file at the socket's path is still its own.
func (s *Socket) owns() bool {
	file, ok := sys.SocketFile(s.Bound.String())
	return ok && file == s.file
}

// reachable reports whether a client can still find the socket: somebody may
// have removed its file, or put another there.
func (s *Socket) reachable() bool { return !s.isUnix() || s.owns() }

// unlink removes the socket's file, but no other that took its place.
func (s *Socket) unlink() {
	if s.isUnix() && s.owns() {
		_ = os.Remove(s.Bound.String())
	}
}

// chmod sets who may connect to a Unix socket.
func (s *Socket) chmod(mode fs.FileMode) error {
	if !s.isUnix() || !s.owns() {
		return nil
	}
	return os.Chmod(s.Bound.String(), mode.Perm())
}

// explainUnix says what an operator can do about a failed bind to a path.
func explainUnix(err error) error {
	switch {
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("its folder does not exist; make it or choose another path: %w", err)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("the server's user may not make a socket there; change the folder's owner or choose another path: %w", err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("the file system is read-only; choose another path: %w", err)
	}
	return err
}
