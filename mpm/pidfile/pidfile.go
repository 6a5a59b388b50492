// Package pidfile keeps a file with the number of the master's process, for
// scripts and service managers.
//
// Who the file belongs to is said by a lock that its server holds for life,
// not by the number in it: the kernel takes the lock away with the process,
// and a number may be another process's by then, or that of one in another
// container.
package pidfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// File is a pid file that is ours.
type File struct {
	path string
	pid  int
	file *os.File
}

// bytesMax is more than a number and a line's end have.
const bytesMax = 32

// Hold makes the file, or takes over one that a server left behind which did
// not get to remove it.
//
// # Errors
//
// Another live server holds it; something is there that is no pid file; or it
// cannot be written, and then it is left as it was.
func Hold(path string, pid int) (*File, error) {
	file, err := hold(path, pid)
	if err != nil {
		return nil, fmt.Errorf("write pid file %s: %w", path, err)
	}
	return &File{path: path, pid: pid, file: file}, nil
}

func hold(path string, pid int) (*os.File, error) {
	file, err := sys.LockFile(path)
	if errors.Is(err, sys.ErrLocked) {
		defer func() { _ = file.Close() }()
		if other, err := read(file); err == nil && other > 0 {
			return nil, fmt.Errorf("the server that runs as process %d holds it; stop that one, or give this one another mpm.pid_file", other)
		}
		return nil, errors.New("another server holds it; stop that one, or give this one another mpm.pid_file")
	}
	if err != nil {
		return nil, err
	}
	if err := write(file, path, pid); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// read returns the number in the file, 0 if it is empty.
func read(file *os.File) (int, error) {
	buf := make([]byte, bytesMax)
	n, err := file.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	text := strings.TrimSpace(string(buf[:n]))
	if n == 0 {
		return 0, nil
	}
	pid, err := strconv.Atoi(text)
	if err != nil || pid <= 0 || n == bytesMax {
		return 0, errors.New("what is there is no pid file; it is left as it is")
	}
	return pid, nil
}

// write puts pid into the file, which is locked. Whoever reads the first line
// meanwhile sees the old number or the new one.
func write(file *os.File, path string, pid int) error {
	before, err := read(file)
	if err != nil {
		return err
	}
	line := strconv.Itoa(pid) + "\n"
	if _, err = file.WriteAt([]byte(line), 0); err == nil {
		err = file.Truncate(int64(len(line)))
	}
	if err != nil && before == 0 {
		_ = os.Remove(path) // made for nothing
	}
	return err
}

// FD is the descriptor that holds the lock, for Adopt. (os.File.Fd would do for a
// file, which never blocks.)
func (f *File) FD() int { return int(f.file.Fd()) }

// Adopt makes a File of one whose descriptor another program in this process
// has handed over.
func Adopt(path string, pid, fd int) *File {
	return &File{path: path, pid: pid, file: os.NewFile(uintptr(fd), path)}
}

// Renew makes the file again if somebody has removed it.
func (f *File) Renew() error {
	if sys.IsAt(f.file, f.path) {
		return nil
	}
	again, err := Hold(f.path, f.pid)
	if err != nil {
		return err
	}
	_ = f.file.Close()
	f.file = again.file
	return nil
}

// Release removes the file, if it is still ours, and gives up the lock.
func (f *File) Release() {
	if sys.IsAt(f.file, f.path) {
		_ = os.Remove(f.path)
	}
	_ = f.file.Close()
}
