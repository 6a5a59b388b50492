package prefork

import (
	"fmt"

	"github.com/apphost/apphost/mpm/internal/sys"
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

// export describes the file for another program in this process, which holds
// the lock through the same descriptor.
func (p *pidFile) export() pidFileState {
	if p.file == nil {
		return pidFileState{}
	}
	return pidFileState{Path: p.path, FD: sys.FD(p.file.FD())}
}

func adoptPIDFile(st pidFileState, pid int) pidFile {
	p := pidFile{pid: pid, known: true, path: st.Path}
	if st.FD != 0 {
		p.file = pidfile.Adopt(st.Path, pid, int(st.FD))
	}
	return p
}
