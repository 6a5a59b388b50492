// Package jail lets a guest into a folder, and nowhere else.
//
// Every name is looked up below the folder's descriptor, one part after the other
// (see os.Root), so that neither "..", nor an absolute path, nor a symbolic link
// leads out, whoever makes or swaps it meanwhile. The folder itself is what was
// opened, whatever its name means later.
//
// A guest makes no links that could lead others out: a symbolic link must be
// relative and without "..", and one that is not, whoever made it, is not moved. (A
// folder is moved with what is in it: links with ".." do not belong in a folder
// that a guest may change.) Of what is in the folder only regular files, folders
// and links count: a named pipe or a device is not opened.
package jail

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"syscall"

	experimental "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/sys"
)

// Refusal is a kind of access that is not granted.
type Refusal int

// The refusals.
const (
	Written   Refusal = iota // a change, in a folder that is read only
	Escaped                  // a name that leads out of the folder
	NotAFile                 // a named pipe, a device or a socket
	LinkedOut                // a link, made or moved, that could lead out of the folder
)

// FS is a folder. Its methods may be called concurrently, except Close. It
// implements the engine's interface for file systems, and its doc comments say
// what each method is for.
type FS struct {
	experimental.UnimplementedFS
	root    *os.Root
	write   bool
	refused func(kind Refusal, name string)
}

var _ experimental.FS = (*FS)(nil)

// Open opens the folder dir. Without write, it cannot be changed through the
// result. refused is told of each access that is not granted, by a name relative
// to the folder; it may be called concurrently.
func Open(dir string, write bool, refused func(kind Refusal, name string)) (*FS, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	f := &FS{root: root, write: write, refused: refused}
	if err := f.usable(); err != nil {
		return nil, errors.Join(fmt.Errorf("use folder %s: %w", dir, err), root.Close())
	}
	return f, nil
}

// usable enters the folder, for a descriptor alone gives no right to.
func (f *FS) usable() error {
	folder, err := f.root.Open(".")
	if err != nil {
		return err
	}
	return folder.Close()
}

// Close lets go of the folder. Files that were opened stay open.
func (f *FS) Close() error { return f.root.Close() }

// OpenFile opens a regular file or a folder.
func (f *FS) OpenFile(name string, flag experimental.Oflag, perm os.FileMode) (experimental.File, experimental.Errno) {
	const changes = experimental.O_RDWR | experimental.O_WRONLY | experimental.O_APPEND | experimental.O_CREAT | experimental.O_TRUNC
	if flag&experimental.O_DIRECTORY != 0 {
		flag &^= changes // some ask for all rights on a folder
	}
	look := f.root.Stat
	if flag&experimental.O_NOFOLLOW != 0 {
		look = f.root.Lstat
	}
	info, err := look(name)
	switch {
	case err == nil && info.Mode()&os.ModeSymlink != 0:
		return nil, experimental.ELOOP
	case err != nil && (flag&experimental.O_CREAT == 0 || !errors.Is(err, os.ErrNotExist)):
		return nil, f.errno(name, err)
	case err == nil && !info.Mode().IsRegular() && !info.IsDir():
		return nil, f.notAFile(name)
	case err == nil && flag&experimental.O_DIRECTORY != 0 && !info.IsDir():
		return nil, experimental.ENOTDIR
	case err == nil && info.IsDir() && flag&changes != 0:
		return nil, experimental.EISDIR
	case flag&changes != 0 && !f.write:
		return nil, f.readOnly(name)
	}
	file, errno := f.open(name, flag, perm)
	if errno != 0 {
		return nil, errno
	}
	return file, 0
}

// open opens name and looks again at what it is: it may have been replaced.
// Nobody may keep us waiting for the other end of a named pipe.
func (f *FS) open(name string, flag experimental.Oflag, perm os.FileMode) (*file, experimental.Errno) {
	opened, err := f.root.OpenFile(name, osFlag(flag)|syscall.O_NONBLOCK, perm.Perm())
	if err != nil {
		return nil, f.errno(name, err)
	}
	info, err := opened.Stat()
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		_ = opened.Close()
		return nil, f.notAFile(name)
	}
	if err != nil {
		_ = opened.Close()
		return nil, f.errno(name, err)
	}
	const once = experimental.O_CREAT | experimental.O_EXCL | experimental.O_TRUNC // not when it is opened again
	out := &file{fs: f, name: name, flag: flag &^ once, os: opened, info: sys.NewStat_t(info)}
	out.seeker = out.seek
	return out, 0
}

func osFlag(flag experimental.Oflag) int {
	out := os.O_RDONLY
	switch {
	case flag&experimental.O_RDWR != 0:
		out = os.O_RDWR
	case flag&experimental.O_WRONLY != 0:
		out = os.O_WRONLY
	}
	for _, f := range [...]struct {
		from experimental.Oflag
		to   int
	}{
		{experimental.O_APPEND, os.O_APPEND},
		{experimental.O_CREAT, os.O_CREATE},
		{experimental.O_EXCL, os.O_EXCL},
		{experimental.O_TRUNC, os.O_TRUNC},
		{experimental.O_SYNC, os.O_SYNC},
		{experimental.O_DSYNC, os.O_SYNC},
	} {
		if flag&f.from != 0 {
			out |= f.to
		}
	}
	return out
}

// errno is the engine's number for err. What os.Root refuses has none, and is
// the one thing that the system does not.
func (f *FS) errno(name string, err error) experimental.Errno {
	if err == nil {
		return 0
	}
	errno := experimental.UnwrapOSError(err)
	var system syscall.Errno
	if errno == experimental.EIO && !errors.As(err, &system) {
		f.refused(Escaped, name)
		return experimental.EPERM
	}
	return errno
}

func (f *FS) readOnly(name string) experimental.Errno {
	f.refused(Written, name)
	return experimental.EROFS
}

func (f *FS) notAFile(name string) experimental.Errno {
	f.refused(NotAFile, name)
	return experimental.EPERM
}

func (f *FS) linkedOut(name string) experimental.Errno {
	f.refused(LinkedOut, name)
	return experimental.EPERM
}

// change runs what changes the folder at name, if that is granted.
func (f *FS) change(name string, do func() error) experimental.Errno {
	if !f.write {
		return f.readOnly(name)
	}
	return f.errno(name, do())
}

// harmless reports whether a symbolic link to target leads nowhere but down.
func harmless(target string) bool {
	if path.IsAbs(target) || target == "" {
		return false
	}
	for part := range strings.SplitSeq(target, "/") {
		if part == ".." {
			return false
		}
	}
	return true
}
