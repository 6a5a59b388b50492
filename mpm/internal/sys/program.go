package sys

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// OpenProgram opens an executable file, so that what is tried out now is what
// is run later, whatever happens to the path. Self opens this program.
//
// # Errors
//
// The file cannot be read, is not a regular one, or may not be executed.
func OpenProgram(path string) (FD, error) {
	f, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return None, fmt.Errorf("open %s: %w", path, err)
	}
	fd := FD(f)
	var st unix.Stat_t
	err = unix.Fstat(f, &st)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = errors.New("it is not a regular file")
	}
	if err == nil {
		err = unix.Faccessat(unix.AT_FDCWD, fd.path(), unix.X_OK, unix.AT_EACCESS)
	}
	if err != nil {
		_ = fd.Close()
		return None, fmt.Errorf("execute %s: %w", path, err)
	}
	return fd, nil
}

// path names the file that fd is of, for as long as it is open.
func (fd FD) path() string { return "/proc/self/fd/" + strconv.Itoa(int(fd)) }

// ID tells the open file from every other one.
func (fd FD) ID() (FileID, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil {
		return FileID{}, fmt.Errorf("stat descriptor: %w", err)
	}
	return FileID{uint64(st.Dev), st.Ino}, nil //nolint:unconvert // Dev is narrower on other systems
}

// asked are the signals by which others ask this process for something, or
// tell it of something. By default most of them end a process.
var asked = [...]syscall.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGTERM, unix.SIGCHLD, unix.SIGWINCH,
}

// Asked returns them.
func Asked() []os.Signal {
	var list []os.Signal
	for _, sig := range asked {
		list = append(list, sig)
	}
	return list
}

// HoldSignals keeps the signals by which others ask for something waiting for
// this thread, which it binds the goroutine to, until release is called.
// Replace hands what waits to the next program; another thread that takes one
// in meanwhile takes it for good. See signal(7), "Execution of signal handlers".
func HoldSignals() (release func(), err error) {
	runtime.LockOSThread()
	var held, before unix.Sigset_t
	for _, sig := range asked {
		word := 8 * int(unsafe.Sizeof(held.Val[0]))
		held.Val[(int(sig)-1)/word] |= 1 << ((int(sig) - 1) % word)
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &held, &before); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("hold signals: %w", err)
	}
	return func() {
		_ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
		runtime.UnlockOSThread()
	}, nil
}

// receiveAll lets every signal through on this thread, and so in what it
// starts: a process that was executed by Replace has them held on its threads.
// (The one that os/signal listens on lets through what was asked for.)
func receiveAll() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, new(unix.Sigset_t), nil) }

// Replace executes another program in this process, which keeps its number,
// its children, and of its descriptors the standard ones and those of keep. It
// returns only if it could not.
func Replace(program FD, args, env []string, keep []FD) error {
	for _, fd := range keep {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("keep descriptor %d: %w", fd, err)
		}
	}
	err := syscall.Exec(program.path(), args, env)
	for _, fd := range keep {
		fd.CloseOnExec()
	}
	return fmt.Errorf("execute program: %w", err)
}

// AdoptedProcess is a child of this process that a program before it, see
// Replace, has started, by its number and its pidfd.
func AdoptedProcess(pid int, pidfd FD) Process { return Process{PID: pid, PIDFD: pidfd} }

// Open reports whether the descriptor is open.
func (fd FD) Open() bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}
