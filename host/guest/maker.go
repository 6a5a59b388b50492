package guest

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maker makes a folder as root, below base, where nobody else can have a hand in
// it: in no folder on the way can another user replace what root makes or finds.
type maker struct {
	base *os.Root
	name string // of base, if it is a jail; else it is "/"
}

// linksMax ends a circle of links.
const linksMax = 40

// isOwn reports whether dir is there and belongs to a user.
func (m maker) isOwn(dir string, uid int) (bool, error) {
	var info fs.FileInfo
	var err error
	if m.name == "" {
		info, err = os.Stat(dir) // follows links to names from "/" as well
	} else {
		info, err = m.base.Stat(relative(dir))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	owner, ok := ownerOf(info)
	return ok && owner == uid && info.IsDir(), nil
}

// open opens dir, which it makes with those above it. What it returns is the folder
// that it has looked at, whatever becomes of the name.
func (m maker) open(dir string) (*os.Root, error) {
	const reach fs.FileMode = 0o755
	at, rest, links := ".", parts(dir), 0
	for len(rest) > 0 {
		if err := m.checkSafe(at); err != nil {
			return nil, fmt.Errorf("%w; make %s and give it to the user that plugins run as, or name another cache_dir", err, dir)
		}
		next := filepath.Join(at, rest[0])
		if rest[0] == ".." {
			next = filepath.Dir(at) // no link is on the way there
		}
		rest = rest[1:]
		info, err := m.base.Lstat(next)
		if errors.Is(err, fs.ErrNotExist) {
			if err = m.base.Mkdir(next, reach); err == nil || errors.Is(err, fs.ErrExist) {
				info, err = m.base.Lstat(next)
			}
		}
		if err != nil {
			return nil, err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		if links++; links > linksMax {
			return nil, fmt.Errorf("%s has too many links", dir)
		}
		target, err := m.readlink(next, info)
		if err != nil {
			return nil, err
		}
		if filepath.IsAbs(target) {
			at = "."
		}
		rest = append(parts(target), rest...)
	}
	return m.base.OpenRoot(at)
}

// checkSafe fails if somebody else could replace what is in a folder.
func (m maker) checkSafe(at string) error {
	info, err := m.base.Lstat(at)
	if err != nil {
		return err
	}
	const writableByOthers = 0o022
	path := filepath.Join("/", m.name, at)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", path)
	case !trusted(info):
		return fmt.Errorf("%s belongs to another user, who could replace what is in it", path)
	case info.Mode().Perm()&writableByOthers != 0 && info.Mode()&fs.ModeSticky == 0:
		return fmt.Errorf("%s may be written by others (mode %#o), who could replace what is in it", path, info.Mode().Perm())
	}
	return nil
}

// readlink is where a link leads, if that is for this user or root to say.
func (m maker) readlink(at string, info fs.FileInfo) (string, error) {
	path := filepath.Join("/", m.name, at)
	if !trusted(info) {
		return "", fmt.Errorf("%s is another user's link", path)
	}
	target, err := m.base.Readlink(at)
	if err == nil && m.name != "" && filepath.IsAbs(target) {
		return "", fmt.Errorf("%s is a link that escapes from %s", path, m.name)
	}
	return target, err
}

// trusted reports whether a file is this user's or root's.
func trusted(info fs.FileInfo) bool {
	uid, ok := ownerOf(info)
	return !ok || uid == 0 || uid == os.Geteuid()
}

// relative is a path below the base.
func relative(dir string) string {
	return cmp.Or(strings.TrimPrefix(filepath.Join("/", dir), "/"), ".")
}

// parts are the names in a path, without those that lead nowhere.
func parts(path string) []string {
	var out []string
	for part := range strings.SplitSeq(path, "/") {
		if part != "" && part != "." {
			out = append(out, part)
		}
	}
	return out
}
