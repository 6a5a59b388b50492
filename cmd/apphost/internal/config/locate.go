package config

import (
	"errors"
	"strings"

	"github.com/apphost/apphost/host"
)

// Locate gives what is wrong with a setting, found after the file was read, the
// place of that setting. err may be several errors; others stay as they are.
func (c *Config) Locate(err error) error {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var located []error
		for _, err := range several.Unwrap() {
			located = append(located, c.Locate(err))
		}
		return errors.Join(located...)
	}
	setting, ok := errors.AsType[*host.SettingError](err)
	if !ok || c.file == nil {
		return err
	}
	doc, key := c.file, setting.Key
	if name, rest, ok := pluginKey(key); ok && !c.file.holds(key) && c.shipped[name] != nil {
		doc, key = c.shipped[name], rest
	}
	return doc.fault(key, setting.Err.Error())
}

// pluginKey takes the path of a plugin's setting apart.
func pluginKey(path string) (name, key string, ok bool) {
	rest, ok := strings.CutPrefix(path, "plugin.")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, ".")
}

// holds reports whether the file has the plugin's setting with that path.
func (doc *document) holds(path string) bool {
	path, _, _ = strings.Cut(path, "[")
	_, ok := doc.at[path]
	return ok
}
