package prefork

import (
	"errors"
	"slices"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
	"github.com/apphost/apphost/mpm/logs"
)

// logFiles are the log files and who writes to them. A child writes to
// descriptors, and need not be allowed to open the files: the master does, and
// hands new ones over through a socket that each child has for it.
type logFiles struct {
	table    *logs.Table
	own      *logs.Stream // the master's
	current  *logs.File   // what own writes to, once a generation serves
	children map[int]*linuxChild
}

func newLogFiles(cfg Config) (logFiles, error) {
	table, err := logs.NewTable()
	if err != nil {
		return logFiles{}, err
	}
	if cfg.Detached {
		table.GiveUpStandardError()
	}
	return logFiles{table: table, own: cfg.ErrorLog, children: make(map[int]*linuxChild)}, nil
}

// adoptLogFiles are those of another program in this process. One that says
// nothing of them leaves us what newLogFiles makes of it.
func adoptLogFiles(cfg Config, handed *logs.Handed) (logFiles, error) {
	if handed == nil {
		return newLogFiles(cfg)
	}
	return logFiles{table: logs.Import(*handed), own: cfg.ErrorLog, children: make(map[int]*linuxChild)}, nil
}

func (l *logFiles) release() { l.table.Close() }

// acquire opens the log files of a generation: the error log first.
func (l *logFiles) acquire(o *mpm.Options) ([]*logs.File, error) {
	paths := []string{o.ErrorLog}
	for _, log := range o.Logs {
		path := log.Path
		switch path {
		case mpm.StandardError:
			path = ""
		case mpm.StandardOutput:
			path = logs.Output
		}
		paths = append(paths, path)
	}
	return l.table.Acquire(paths)
}

// serve lets the master write to the error log of the generation that serves now.
// Files that were renamed are reopened: so the logs are rotated for who is used
// to reload for it.
func (l *logFiles) serve(f *logs.File) error {
	var err error
	if l.table.Moved() {
		err = l.reopen()
	}
	return errors.Join(err, l.use(f))
}

// use lets the master write to an error log.
func (l *logFiles) use(f *logs.File) error {
	l.current = f
	if l.own == nil {
		return nil
	}
	return l.own.Redirect(f.FD())
}

// follow notes a child that writes to files, to be told of new ones.
func (l *logFiles) follow(p linuxProcess, files []*logs.File, newLogs sys.FD) *linuxChild {
	c := &linuxChild{linuxProcess: p, all: l, files: files, newLogs: newLogs}
	l.children[c.PID] = c
	return c
}

func (l *linux) reopenLogs() error { return l.logFiles.reopen() }
func (l *linux) oldLogs() []int    { return l.logFiles.old() }

// reopen opens all files anew and hands them to everybody who writes to them.
func (l *logFiles) reopen() error {
	if err := l.table.Reopen(); err != nil {
		return err
	}
	for _, c := range l.children {
		c.passLogs()
	}
	if l.current == nil {
		return nil
	}
	return l.use(l.current)
}

// old are the pids of who has not taken them yet.
func (l *logFiles) old() []int {
	var pids []int
	for pid, c := range l.children {
		if c.behind() {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// linuxChild is a child and its way to new log files.
type linuxChild struct {
	linuxProcess
	all     *logFiles
	files   []*logs.File
	newLogs sys.FD // our end of its socket
	unsent  bool   // the socket has no room for the newest files
	owed    int    // how many times it was handed files that it has not taken yet
	// also are to go with the next files: what the child has of the kind was a
	// master's before this one, and ended with it.
	also []sys.FD
}

// passLogs hands over the files as they are now.
func (c *linuxChild) passLogs() {
	var fds []sys.FD
	for _, f := range c.files {
		fds = append(fds, f.FD())
	}
	fds = append(fds, c.also...)
	c.unsent = c.newLogs.SendFDs(fds) != nil
	if !c.unsent {
		c.owed++
		c.also = nil
	}
}

// behind reports whether the child may write to files of before. A child that
// lies about it harms nobody but who reads its own lines.
func (c *linuxChild) behind() bool {
	var taken [1]byte
	for c.owed > 0 {
		if n, err := c.newLogs.Receive(taken[:]); n == 0 || err != nil {
			break
		}
		c.owed--
	}
	if c.unsent {
		c.passLogs()
	}
	return c.unsent || c.owed > 0
}

func (c *linuxChild) release() {
	delete(c.all.children, c.PID)
	_ = c.newLogs.Close()
	c.linuxProcess.release()
}
