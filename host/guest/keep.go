package guest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	// unusedMax is how long code is kept that no keeper has used.
	unusedMax = 30 * 24 * time.Hour
	// staleMax is after how long a temporary folder is one that a process
	// left behind when it was killed.
	staleMax = 24 * time.Hour
)

// The names in the cache that are ours to remove: a module's folder, and the
// engine's of when all modules shared one.
var (
	keyName    = regexp.MustCompile(`^[0-9a-f]{64}$`)
	sharedName = regexp.MustCompile(`^wazero-`)
)

// used notes that a folder is still of use.
func (c *cache) used(folder string) {
	if c.keeper {
		now := time.Now()
		_ = os.Chtimes(folder, now, now) // at worst it is compiled again one day
	}
}

// discard takes away a folder that is damaged. It is moved first, so that no
// process finds half of it.
func (c *cache) discard(key string) error {
	temp, err := c.temp()
	if err != nil {
		return err
	}
	err = os.Rename(filepath.Join(c.dir, key), filepath.Join(temp, key))
	if errors.Is(err, fs.ErrNotExist) { // another keeper was faster
		err = nil
	}
	return errors.Join(err, os.RemoveAll(temp))
}

// prune takes away what was not used for long. What cannot be removed is left
// for the next time.
func (c *cache) prune() {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		name, keep := entry.Name(), time.Duration(0)
		switch {
		case keyName.MatchString(name), sharedName.MatchString(name):
			keep = unusedMax
		case strings.HasPrefix(name, tempPrefix) && strings.HasSuffix(name, tempSuffix):
			keep = staleMax
		default:
			continue // not ours
		}
		info, err := entry.Info()
		if err != nil || time.Since(info.ModTime()) <= keep {
			continue
		}
		if keyName.MatchString(name) {
			_ = c.discard(name)
		} else {
			_ = os.RemoveAll(filepath.Join(c.dir, name))
		}
	}
}
