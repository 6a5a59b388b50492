package jail

import (
	"errors"
	"io"
	"os"
	"path"

	experimental "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/sys"
)

// file is an open file or folder.
type file struct {
	fs   *FS
	name string
	flag experimental.Oflag
	os   *os.File
	info sys.Stat_t // as it was opened
	seeker[int64]
}

// seeker has the method Seek of the engine's interface. Its signature would pass
// for a slip in io.Seeker's with go vet, which says nothing of a type parameter.
type seeker[T int64] func(offset T, whence int) (T, experimental.Errno)

func (s seeker[T]) Seek(offset T, whence int) (T, experimental.Errno) { return s(offset, whence) }

var _ experimental.File = (*file)(nil)

func (f *file) errno(err error) experimental.Errno {
	if errors.Is(err, os.ErrClosed) {
		return experimental.EBADF
	}
	return experimental.UnwrapOSError(err)
}

func (f *file) folder() bool { return f.info.Mode.IsDir() }

func (f *file) Dev() (uint64, experimental.Errno)    { return f.info.Dev, 0 }
func (f *file) Ino() (sys.Inode, experimental.Errno) { return f.info.Ino, 0 }
func (f *file) IsDir() (bool, experimental.Errno)    { return f.folder(), 0 }
func (f *file) IsAppend() bool                       { return f.flag&experimental.O_APPEND != 0 }

// SetAppend opens the file once more: that is how the system has the flag, which
// several processes need that append to one file. It fails if the file has lost its
// name meanwhile.
func (f *file) SetAppend(on bool) experimental.Errno {
	if f.folder() {
		return experimental.EISDIR
	}
	flag := f.flag &^ experimental.O_APPEND
	if on {
		flag |= experimental.O_APPEND
	}
	if flag == f.flag {
		return 0
	}
	return f.reopen(flag)
}

// reopen opens the same file with other flags, and goes to where this one is.
func (f *file) reopen(flag experimental.Oflag) experimental.Errno {
	again, errno := f.fs.open(f.name, flag, 0)
	if errno != 0 {
		return errno
	}
	if again.info.Dev != f.info.Dev || again.info.Ino != f.info.Ino { // the name has another file now
		_ = again.os.Close()
		return experimental.ENOENT
	}
	if !f.folder() {
		at, err := f.os.Seek(0, io.SeekCurrent)
		if err == nil {
			_, err = again.os.Seek(at, io.SeekStart)
		}
		if err != nil {
			_ = again.os.Close()
			return f.errno(err)
		}
	}
	_ = f.os.Close() // what is lost by it, Sync would have told
	f.os, f.flag = again.os, again.flag
	return 0
}

func (f *file) Stat() (sys.Stat_t, experimental.Errno) {
	info, err := f.os.Stat()
	if err != nil {
		return sys.Stat_t{}, f.errno(err)
	}
	return sys.NewStat_t(info), 0
}

func (f *file) Read(p []byte) (int, experimental.Errno) {
	if f.folder() {
		return 0, experimental.EISDIR
	}
	if len(p) == 0 {
		return 0, 0
	}
	n, err := f.os.Read(p)
	return n, f.errno(err)
}

func (f *file) Pread(p []byte, at int64) (int, experimental.Errno) {
	if f.folder() {
		return 0, experimental.EISDIR
	}
	if at < 0 {
		return 0, experimental.EINVAL
	}
	n, err := f.os.ReadAt(p, at)
	return n, f.errno(err)
}

func (f *file) seek(offset int64, whence int) (int64, experimental.Errno) {
	if whence < io.SeekStart || whence > io.SeekEnd {
		return 0, experimental.EINVAL
	}
	if !f.folder() {
		at, err := f.os.Seek(offset, whence)
		return at, f.errno(err)
	}
	if offset != 0 || whence != io.SeekStart {
		return 0, experimental.EISDIR
	}
	return 0, f.reopen(f.flag) // to see what has changed meanwhile
}

// Readdir reads up to n entries more; fewer mean that there are no more.
func (f *file) Readdir(n int) ([]experimental.Dirent, experimental.Errno) {
	if !f.folder() {
		return nil, experimental.ENOTDIR
	}
	entries, err := f.os.ReadDir(n)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, f.errno(err)
	}
	out := make([]experimental.Dirent, 0, len(entries))
	for _, entry := range entries {
		number := sys.Inode(0)
		// Not entry.Info, which goes by the folder's name.
		if info, err := f.fs.root.Lstat(path.Join(f.name, entry.Name())); err == nil { // else it is gone already
			number = sys.NewStat_t(info).Ino
		}
		out = append(out, experimental.Dirent{Name: entry.Name(), Type: entry.Type(), Ino: number})
	}
	return out, 0
}

func (f *file) Write(p []byte) (int, experimental.Errno) {
	if f.folder() {
		return 0, experimental.EISDIR
	}
	if len(p) == 0 {
		return 0, 0
	}
	n, err := f.os.Write(p)
	return n, f.errno(err)
}

// Pwrite writes at a place, but to the end of a file that is appended to, as
// the system does.
func (f *file) Pwrite(p []byte, at int64) (int, experimental.Errno) {
	switch {
	case f.folder():
		return 0, experimental.EISDIR
	case at < 0:
		return 0, experimental.EINVAL
	case f.IsAppend():
		return f.Write(p)
	}
	n, err := f.os.WriteAt(p, at)
	return n, f.errno(err)
}

func (f *file) Truncate(size int64) experimental.Errno {
	switch {
	case f.folder():
		return experimental.EISDIR
	case size < 0:
		return experimental.EINVAL
	}
	return f.errno(f.os.Truncate(size))
}

func (f *file) Sync() experimental.Errno     { return f.errno(f.os.Sync()) }
func (f *file) Datasync() experimental.Errno { return f.Sync() }

// Utimens goes by the name; if that has another file now, it is refused.
func (f *file) Utimens(atim, mtim int64) experimental.Errno {
	now, errno := f.fs.Stat(f.name)
	if errno == 0 && (now.Dev != f.info.Dev || now.Ino != f.info.Ino) {
		errno = experimental.ENOENT
	}
	if errno != 0 {
		return errno
	}
	return f.fs.Utimens(f.name, atim, mtim)
}

func (f *file) Close() experimental.Errno { return f.errno(f.os.Close()) }
