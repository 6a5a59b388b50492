package prefork

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm/internal/sys"
	"github.com/apphost/apphost/mpm/logs"
)

// logPatience is how long a line of a log waits for a reader that does not read,
// a pipe's, until it is lost. The error log's lines wait.
const logPatience = 100 * time.Millisecond

// openLogs takes over the log files and follows the master to new ones.
func (c *Child) openLogs() error {
	if !c.newLogs.IsSocket() {
		return fmt.Errorf("start child: descriptor %d is not a socket", c.newLogs)
	}
	c.logs = []*logs.Stream{logs.NewStream(fdLog, -1)}
	for i := range c.Options.Logs {
		fd := inherit(fdListeners + len(c.listeners) + i)
		c.logs = append(c.logs, logs.NewStream(int(fd), logPatience))
	}
	if err := c.newLogs.SetNonblock(); err != nil {
		return fmt.Errorf("start child: %w", err)
	}
	go c.followLogs(os.NewFile(uintptr(c.newLogs), "new logs"))
	return nil
}

// ErrorLog is where the child logs to; nothing else in the process may write to
// standard error.
func (c *Child) ErrorLog() *logs.Stream { return c.logs[0] }

// Log is a log file by its name in the options, nil if there is none.
func (c *Child) Log(name string) *logs.Stream {
	for i, l := range c.Options.Logs {
		if l.Name == name {
			return c.logs[1+i]
		}
	}
	return nil
}

// followLogs changes over to each set of files that the master hands over, and
// says so. It waits in the runtime's poller, which is there anyway: so it comes
// as well while the child is idle, or in the middle of a connection on which
// nothing happens for hours, and takes up no thread meanwhile.
func (c *Child) followLogs(newLogs *os.File) {
	defer func() { _ = newLogs.Close() }()
	conn, err := newLogs.SyscallConn()
	if err != nil {
		return
	}
	for {
		var fds []sys.FD
		poll := conn.Read(func(uintptr) bool {
			fds, err = c.newLogs.RecvFDs(len(c.logs) + 3)
			return !errors.Is(err, syscall.EAGAIN)
		})
		if err != nil || poll != nil {
			return // the master is gone
		}
		if c.takeFiles(fds) {
			_, _ = c.newLogs.TrySend([]byte{'!'})
		}
	}
}

// takeFiles changes over to what the master has handed over: the log files and,
// if it took over from another one, the flags, and the pipe for wishes and the
// bulletin if there was one. It reports whether nothing of before is used any
// longer.
func (c *Child) takeFiles(fds []sys.FD) (done bool) {
	n := len(c.logs)
	more := 1
	if c.bulletin.Load() != nil {
		more = 3
	}
	done = len(fds) == n || len(fds) == n+more
	for i, fd := range fds {
		switch {
		case i < n:
			done = c.logs[i].Redirect(fd) == nil && done
		case done && i == n:
			done = c.changeFlags(fd) == nil
			continue // it owns it
		case done && i == n+1:
			done = fd.Replace(c.wish) == nil
		case done:
			done = c.changeBulletin(fd) == nil
			continue // it owns it
		}
		_ = fd.Close()
	}
	return done
}
