package guest

import (
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
// # Errors
//
// dir belongs to someone else or others may write to it, or it cannot be made.
func MakeUserCache(dir string, uid, gid int) (string, error) {
	path, err := makeUserCache(dir, uid, gid)
	if err != nil {
		return "", fmt.Errorf("make code cache: %w", err)
	}
	return path, nil
}

func makeUserCache(dir string, uid, gid int) (string, error) {
	// The user has to get there.
	const reach fs.FileMode = 0o755
	if err := os.MkdirAll(filepath.Dir(dir), reach); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, reach); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	info, err := root.Stat(".")
	if err != nil {
		return "", err
	}
	if owner, ok := ownerOf(info); ok && owner == uid {
		return dir, nil
	}
	// From here on nobody but root can change dir.
	if err := checkOwned(dir); err != nil {
		return "", err
	}
	const search fs.FileMode = 0o011
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
