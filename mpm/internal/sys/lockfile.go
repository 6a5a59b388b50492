package sys

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrLocked is returned by LockFile, with the open file, when another process
// holds the lock.
var ErrLocked = errors.New("another process has locked it")

// lockTries is how often a file may be exchanged while we lock it.
const lockTries = 10

// LockFile opens a regular file, or makes it with mode 0644, and locks it for
// as long as it is open here. The lock is of the kind that ends with its process,
// whatever becomes of the file; see flock(2). What is locked is what the path
// leads to: a file that was removed meanwhile is not enough.
func LockFile(path string) (*os.File, error) {
	const flags = unix.O_RDWR | unix.O_CREAT | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY
	for range lockTries {
		fd, err := unix.Open(path, flags, 0o644)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		f := os.NewFile(uintptr(fd), path)
		err = lock(f)
		if errors.Is(err, ErrLocked) {
			return f, err
		}
		if err != nil {
			_ = f.Close()
			return nil, err
		}
		if IsAt(f, path) {
			return f, nil
		}
		_ = f.Close()
	}
	return nil, errors.New("it is exchanged again and again by others")
}

func lock(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a file")
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	if err != nil {
		return fmt.Errorf("lock it: %w", err)
	}
	return nil
}

// IsAt reports whether path leads to the open file.
func IsAt(f *os.File, path string) bool {
	ours, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(ours, there)
}
