package guest

import (
	"errors"
	"fmt"
	"io/fs"
)

// SettingError is what is wrong with a setting, found where the setting is used.
type SettingError struct {
	// Key is its path in the configuration, such as "plugin.shop.dirs[0].host".
	Key string
	Err error
}

func (e *SettingError) Error() string { return e.Key + ": " + e.Err.Error() }

// Unwrap gives the error without the key.
func (e *SettingError) Unwrap() error { return e.Err }

// FolderError says that a folder cannot be used, why, and what to do.
func FolderError(dir string, err error) error {
	advice := "name another one"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		advice = "make it, or name another one"
	case errors.Is(err, fs.ErrPermission):
		advice = "let the user that plugins run as read it, or name another one"
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err // which need not repeat the name
	}
	return fmt.Errorf("the folder %s cannot be used: %w; %s", dir, err, advice)
}
