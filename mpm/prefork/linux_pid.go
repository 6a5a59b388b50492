package prefork

import (
	"fmt"

	"github.com/apphost/apphost/mpm/pidfile"
)

// pidFile is the master's, if it is to have one.
type pidFile struct {
	pid   int
	known bool // the first generation has said
	path  string
	file  *pidfile.File
}

// hold makes the file with the first generation, and refuses one that asks for
// another.
func (p *pidFile) hold(path string) error {
	if p.known && path != p.path {
		return fmt.Errorf("mpm.pid_file: it cannot change while the server runs (from %q to %q); stop and start the server", p.path, path)
	}
	if p.known || path == "" {
		p.known = true
		return nil
	}
	file, err := pidfile.Hold(path, p.pid)
	if err != nil {
		return err
	}
	p.known, p.path, p.file = true, path, file
	return nil
}

// renew makes the file again if somebody has removed it.
func (p *pidFile) renew() error {
	if p.file == nil {
		return nil
	}
	return p.file.Renew()
}

func (p *pidFile) release() {
	if p.file != nil {
		p.file.Release()
		p.file = nil
	}
}
