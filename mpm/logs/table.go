package logs

import (
	"errors"
	"fmt"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// Table are the open log files, each once, however many generations write to
// it. It belongs to one goroutine.
type Table struct {
	standard sys.FD // what standard error was at the start; None once given up
	output   sys.FD // likewise standard output; None, too, if there was none
	files    []*File
}

// File is an open log file. Its descriptor changes when it is reopened.
type File struct {
	path  string // "" is standard error, Output standard output
	fd    sys.FD
	users int
}

// Output is standard output in place of a path.
const Output = "stdout"

// opened reports whether the file was opened by a path.
func (f *File) opened() bool { return f.path != "" && f.path != Output }

// FD is the open file, to be passed on but not closed.
func (f *File) FD() sys.FD { return f.fd }

// NewTable remembers where standard error and standard output lead now.
func NewTable() (*Table, error) {
	standard, err := sys.FD(2).Dup()
	if err != nil {
		return nil, err
	}
	return &Table{standard: standard, output: ownOutput()}, nil
}

// ownOutput is standard output, to which nothing else ever leads.
func ownOutput() sys.FD {
	output, err := sys.FD(1).Dup()
	if err != nil {
		return sys.None // a server may be started without
	}
	return output
}

// Acquire opens the files of a generation, all or none. "" is standard error, and
// Output standard output.
// They are to be released again.
func (t *Table) Acquire(paths []string) ([]*File, error) {
	var files []*File
	var errs []error
	for _, path := range paths {
		f, err := t.acquire(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		f.users++
		files = append(files, f)
	}
	if len(errs) > 0 {
		t.Release(files)
		return nil, errors.Join(errs...)
	}
	return files, nil
}

func (t *Table) acquire(path string) (*File, error) {
	for _, f := range t.files {
		if f.path == path {
			return f, nil
		}
	}
	f := &File{path: path, fd: t.standard}
	switch {
	case path == Output && t.output == sys.None:
		return nil, errors.New("log.access: there is no standard output to log to; name a file")
	case path == Output:
		f.fd = t.output
	case path != "":
		var err error
		if f.fd, err = open(path); err != nil {
			return nil, err
		}
	case t.standard == sys.None:
		return nil, errors.New("log.file: it must be set for a server that detaches itself, which has no standard error to log to")
	}
	t.files = append(t.files, f)
	return f, nil
}

func open(path string) (sys.FD, error) {
	fd, err := sys.OpenAppend(path)
	if err != nil {
		return sys.None, fmt.Errorf("open log file %s: %w", path, err)
	}
	return fd, nil
}

// Release closes the files that nobody else uses.
func (t *Table) Release(files []*File) {
	for _, f := range files {
		if f.users--; f.users > 0 {
			continue
		}
		for i := range t.files {
			if t.files[i] == f {
				t.files = append(t.files[:i], t.files[i+1:]...)
				break
			}
		}
		if f.opened() {
			_ = f.fd.Close()
		}
	}
}

// ErrNoFile is returned by Reopen when no log is a file.
var ErrNoFile = errors.New("there is no log file to reopen: the log goes to standard error; set log.file")

// Reopen opens every file anew by its name. If one cannot be opened, all stay
// as they are.
func (t *Table) Reopen() error {
	fresh := make(map[*File]sys.FD)
	var errs []error
	for _, f := range t.files {
		if !f.opened() {
			continue
		}
		fd, err := open(f.path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fresh[f] = fd
	}
	if len(errs) > 0 {
		for _, fd := range fresh {
			_ = fd.Close()
		}
		return errors.Join(errs...)
	}
	if len(fresh) == 0 {
		return ErrNoFile
	}
	for f, fd := range fresh {
		_ = f.fd.Close()
		f.fd = fd
	}
	return nil
}

// Moved reports whether the path of some file leads elsewhere by now.
func (t *Table) Moved() bool {
	for _, f := range t.files {
		if f.opened() && !f.fd.IsAt(f.path) {
			return true
		}
	}
	return false
}

// GiveUpStandardError lets go of what standard error and standard output were at
// the start, so that whoever reads them sees the end.
func (t *Table) GiveUpStandardError() {
	_ = t.standard.Close()
	_ = t.output.Close()
	t.standard, t.output = sys.None, sys.None
}

// Close closes all files.
func (t *Table) Close() {
	for _, f := range t.files {
		if f.opened() {
			_ = f.fd.Close()
		}
	}
	t.files = nil
	t.GiveUpStandardError()
}
