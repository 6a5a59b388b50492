package jail

import (
	"os"
	"syscall"
	"time"

	experimental "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/sys"
)

// Lstat describes name itself, be it a link.
func (f *FS) Lstat(name string) (sys.Stat_t, experimental.Errno) {
	info, err := f.root.Lstat(name)
	return f.stat(name, info, err)
}

// Stat describes what name leads to.
func (f *FS) Stat(name string) (sys.Stat_t, experimental.Errno) {
	info, err := f.root.Stat(name)
	return f.stat(name, info, err)
}

func (f *FS) stat(name string, info os.FileInfo, err error) (sys.Stat_t, experimental.Errno) {
	if err != nil {
		return sys.Stat_t{}, f.errno(name, err)
	}
	return sys.NewStat_t(info), 0
}

// Mkdir makes a folder.
func (f *FS) Mkdir(name string, perm os.FileMode) experimental.Errno {
	return f.change(name, func() error { return f.root.Mkdir(name, perm.Perm()) })
}

// Rename moves a file or folder within the folder. A link that leads down from
// everywhere may be moved, too.
func (f *FS) Rename(from, to string) experimental.Errno {
	if !f.write {
		return f.readOnly(from)
	}
	info, err := f.root.Lstat(from)
	if err != nil {
		return f.errno(from, err)
	}
	if info.Mode()&os.ModeSymlink != 0 {
		target, err := f.root.Readlink(from)
		if err != nil {
			return f.errno(from, err)
		}
		if !harmless(target) {
			return f.linkedOut(from)
		}
	}
	return f.errno(to, f.root.Rename(from, to))
}

// Rmdir removes an empty folder.
func (f *FS) Rmdir(name string) experimental.Errno {
	return f.change(name, func() error {
		if info, err := f.root.Lstat(name); err == nil && !info.IsDir() {
			return syscall.ENOTDIR
		}
		return f.root.Remove(name)
	})
}

// Unlink removes a file, or a link itself.
func (f *FS) Unlink(name string) experimental.Errno {
	return f.change(name, func() error {
		if info, err := f.root.Lstat(name); err == nil && info.IsDir() {
			return syscall.EISDIR
		}
		return f.root.Remove(name)
	})
}

// Link gives a regular file of the folder one more name in it.
func (f *FS) Link(from, to string) experimental.Errno {
	if !f.write {
		return f.readOnly(to)
	}
	info, err := f.root.Lstat(from)
	switch {
	case err != nil:
		return f.errno(from, err)
	case !info.Mode().IsRegular():
		return experimental.EPERM
	}
	return f.errno(to, f.root.Link(from, to))
}

// Symlink makes a link, if it is one that leads nobody out.
func (f *FS) Symlink(target, name string) experimental.Errno {
	switch {
	case !f.write:
		return f.readOnly(name)
	case !harmless(target):
		return f.linkedOut(name)
	}
	return f.errno(name, f.root.Symlink(target, name))
}

// Readlink is the target of a link.
func (f *FS) Readlink(name string) (string, experimental.Errno) {
	target, err := f.root.Readlink(name)
	return target, f.errno(name, err)
}

// Utimens sets the times of what name leads to.
func (f *FS) Utimens(name string, atim, mtim int64) experimental.Errno {
	return f.change(name, func() error { return f.root.Chtimes(name, moment(atim), moment(mtim)) })
}

// moment is the time of nanoseconds since 1970; zero stands for "as it is".
func moment(nanos int64) time.Time {
	if nanos == experimental.UTIME_OMIT {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}
