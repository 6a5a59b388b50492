package guest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental/sysfs"

	"github.com/apphost/apphost/host/internal/jail"
)

// Dir is a folder that a guest may use.
type Dir struct {
	Host  string // absolute
	Guest string // the path that the guest knows it by, absolute
	Write bool   // else it is read only
}

// files are the folders of one plugin, open for as long as the runtime lives:
// what their names mean later, and whether they can still be reached, does not
// matter.
type files []*jail.FS

// Close lets go of the folders. No instance may be left.
func (f files) Close(context.Context) error {
	var errs []error
	for _, folder := range f {
		errs = append(errs, folder.Close())
	}
	return errors.Join(errs...)
}

// openDirs opens the folders of a plugin and adds them to what its instances get.
func (m *Module) openDirs(dirs []Dir) (files, error) {
	var out files
	var errs []error
	config := wazero.NewFSConfig()
	for i, d := range dirs {
		folder, err := jail.Open(d.Host, d.Write, func(kind jail.Refusal, name string) { m.refused(kind, d, name) })
		if err != nil {
			errs = append(errs, &SettingError{fmt.Sprintf("%s[%d].host", m.key(), i), FolderError(d.Host, err)})
			continue
		}
		out = append(out, folder)
		config = config.(sysfs.FSConfig).WithSysFSMount(folder, d.Guest)
	}
	m.config = m.config.WithFSConfig(config)
	return out, errors.Join(errs...)
}

// refused logs an access that is not granted, the first of its kind: what a
// guest does in a loop would fill the log.
func (m *Module) refused(kind jail.Refusal, d Dir, name string) {
	if m.once[kind].Swap(true) {
		return
	}
	at := LogText([]byte(d.Guest + "/" + name))
	text := ""
	switch kind {
	case jail.Written:
		text = fmt.Sprintf("changed %q: the folder is read only; add write = true to %s", at, m.key())
	case jail.Escaped:
		text = fmt.Sprintf("opened %q: it leads out of its folder; grant the folder that it leads to with %s", at, m.key())
	case jail.NotAFile:
		text = fmt.Sprintf("opened %q: it is neither a file nor a folder, and nothing else is granted", at)
	case jail.LinkedOut:
		text = fmt.Sprintf("made or moved the link %q: it could lead others out of its folder; only relative links without \"..\" are granted", at)
	}
	m.log.Warn("guest was refused", "plugin", m.name, "error", text)
}

// noFiles is refused of a guest that has no folder.
func (m *Module) noFiles(name []byte) {
	if m.once[noFiles].Swap(true) {
		return
	}
	text := fmt.Sprintf("opened %q: no files are granted; grant a folder with %s", LogText(name), m.key())
	m.log.Warn("guest was refused", "plugin", m.name, "error", text)
}

// noFiles follows the kinds of refusals that a folder knows.
const noFiles = jail.LinkedOut + 1

// refusals says which kinds were logged.
type refusals [noFiles + 1]atomic.Bool

// key is what would grant a folder.
func (m *Module) key() string { return "plugin." + m.name + ".dirs" }
