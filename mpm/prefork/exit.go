package prefork

import (
	"fmt"
	"syscall"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// exitStatus is how a process ended.
type exitStatus syscall.WaitStatus

func (s exitStatus) code() int {
	if w := syscall.WaitStatus(s); w.Exited() {
		return w.ExitStatus()
	}
	return -1
}

func (s exitStatus) signal() syscall.Signal {
	if w := syscall.WaitStatus(s); w.Signaled() {
		return w.Signal()
	}
	return 0
}

// clean reports whether the process ended as it should.
func (s exitStatus) clean() bool { return s.code() == ExitOK }

// String says how the process ended, in the words of an operator.
func (s exitStatus) String() string {
	switch {
	case s.signal() == syscall.SIGKILL:
		return "killed by SIGKILL (by an operator, or for want of memory)"
	case syscall.WaitStatus(s).CoreDump():
		return "ended by " + sys.SignalName(s.signal()) + " (core dumped)"
	case s.signal() != 0:
		return "ended by " + sys.SignalName(s.signal())
	case s.code() == 2:
		return "exit status 2 (the Go runtime's after a crash; its report is above)"
	}
	return fmt.Sprintf("exit status %d", s.code())
}
