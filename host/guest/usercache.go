package guest

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// MakeUserCache makes the cache directory of a user in dir, for root to call
// before it becomes that user, and returns its path. Each user has a directory
// of its own, because what is in it is run. A dir that belongs to the user is
// it, and root changes nothing there.
//
// With a jail, the folder that will be the process's root, dir is a path inside
// of it, and so is what is returned. No link leads out of it.
//
// # Errors
//
// dir belongs to someone else or others may write to it, or it cannot be made, or
// another user could put a folder or a link in the place of one above it.
func MakeUserCache(jail, dir string, uid, gid int) (string, error) {
	path, err := makeUserCache(jail, dir, uid, gid)
	if err != nil {
		return "", fmt.Errorf("make code cache: %w", err)
	}
	return path, nil
}

func makeUserCache(jail, dir string, uid, gid int) (string, error) {
	base, err := os.OpenRoot(cmp.Or(jail, "/"))
	if err != nil {
		return "", err
	}
	defer base.Close()
	made := maker{base: base, name: jail}
	if own, err := made.isOwn(dir, uid); own || err != nil {
		return dir, err
	}
	root, err := made.open(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	info, err := root.Stat(".")
	if err != nil {
		return "", err
	}
	// From here on nobody but root can change dir.
	if err := checkOwner(info, dir); err != nil {
		return "", err
	}
	const search fs.FileMode = 0o011 // the user has to get through it
	if info.Mode().Perm()&search != search {
		if err := root.Chmod(".", info.Mode().Perm()|search); err != nil {
			return "", err
		}
	}
	name := fmt.Sprintf("uid-%d", uid)
	if err := root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	path := filepath.Join(dir, name)
	if info, err = root.Lstat(name); err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", fmt.Errorf("%s is not a directory", path)
	}
	return path, root.Lchown(name, uid, gid)
}
