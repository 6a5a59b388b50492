package sys

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
)

// OutliveParent undoes Command.DieWithParent, in the process itself, on the
// thread that it began with: the signal belongs to that one. On another thread
// it is an error, because it would do nothing.
func OutliveParent() error {
	if unix.Gettid() != unix.Getpid() {
		return errors.New("clear parent-death signal: not on the thread that the process began with")
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("clear parent-death signal: %w", err)
	}
	return nil
}

// KeepFromChildren marks every descriptor that this process was started with,
// but for the standard ones, to be closed on exec, so that Command.Files is
// all that a process gets. See close_range(2).
func KeepFromChildren() error {
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close inherited descriptors on exec: %w", err)
	}
	return nil
}

// ReadyThreads makes so many threads, which Go's runtime keeps for when it needs
// one. It ends the program when it cannot get one, as when the user has as many
// as RLIMIT_NPROC allows; see setrlimit(2).
func ReadyThreads(n int) {
	var made, over sync.WaitGroup
	made.Add(n)
	over.Add(1)
	for range n {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			made.Done()
			over.Wait()
		}()
	}
	made.Wait()
	over.Done()
}

// Self is this program's own image, held by the kernel: it stays what it was
// when the file on disk is replaced or deleted.
const Self = "/proc/self/exe"

// Command is a process to start: this program again, in another role.
type Command struct {
	// Args are the arguments, the first of which is the name that ps shows.
	Args []string
	// Env is the whole environment.
	Env []string
	// Files become descriptors 0, 1, 2, … of the process; it gets no others.
	Files []FD
	// TimerSlack lets the kernel deliver the process's timers late by so
	// much, in exchange for fewer wake-ups; 0 keeps the default of 50 µs.
	// It is inherited over exec. See PR_SET_TIMERSLACK in prctl(2).
	TimerSlack time.Duration
	// Batch keeps the process, when it wakes up, from interrupting what runs. It is
	// inherited over exec, and leaves another policy than the default alone. See
	// SCHED_BATCH in sched(7).
	Batch bool
	// DieWithParent kills the process when this one ends. It is a backstop
	// for a process that may not get to look at a pipe: the kernel ties it to
	// the thread that starts the process, and Go's threads last as long as
	// the program. See PR_SET_PDEATHSIG in prctl(2).
	DieWithParent bool
	// Program, if set, is executed instead of this one. The process has it as
	// its last descriptor, after Files.
	Program FD
	// Dir is the process's working folder; "" is ours.
	Dir string
	// NewSession takes the process off our terminal. See setsid(2).
	NewSession bool
	// Identity, if set, is who the process runs as from its first instruction
	// on. See Confine for what is left to do then.
	Identity *mpm.Identity
}

// Process is a started process. PIDFD refers to it, and never to another
// process that got the same number later.
type Process struct {
	PID   int
	PIDFD FD
}

// Start starts a process. It returns when the new image is being executed or
// could not be.
func Start(c Command) (Process, error) {
	path := Self
	if c.Program != 0 {
		path = FD(len(c.Files)).path()
		c.Files = append(slices.Clone(c.Files), c.Program)
	}
	files := make([]uintptr, len(c.Files))
	for i, f := range c.Files {
		files[i] = uintptr(f)
	}
	pidfd := -1
	attr := &syscall.ProcAttr{
		Env: c.Env, Files: files, Dir: c.Dir,
		Sys: &syscall.SysProcAttr{PidFD: &pidfd, Setsid: c.NewSession},
	}
	if c.DieWithParent {
		attr.Sys.Pdeathsig = syscall.SIGKILL
	}
	if c.Identity != nil {
		attr.Sys.Credential = credential(c.Identity)
	}

	// These belong to a thread and are inherited from it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	receiveAll()
	restore, err := giveNoPrivileges()
	if err != nil {
		return Process{}, fmt.Errorf("start process: %w", err)
	}
	defer restore()
	if c.TimerSlack > 0 {
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(c.TimerSlack), 0, 0, 0); err == nil {
			defer func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) }()
		}
	}
	if c.Batch {
		defer becomeBatch()()
	}
	pid, err := syscall.ForkExec(path, c.Args, attr)
	if err != nil {
		return Process{}, explainStart(err, c.Identity)
	}
	return Process{PID: pid, PIDFD: FD(pidfd)}, nil
}

// becomeBatch gives this thread the policy of Command.Batch, as far as it may have
// it, and returns how to take that back.
func becomeBatch() (restore func()) {
	own, err := unix.SchedGetAttr(0, 0)
	if err != nil || own.Policy != unix.SCHED_NORMAL {
		return func() {}
	}
	batch := *own
	batch.Policy = unix.SCHED_BATCH
	if unix.SchedSetAttr(0, &batch, 0) != nil {
		return func() {}
	}
	return func() { _ = unix.SchedSetAttr(0, own, 0) }
}

// Signal sends a signal. A process that is gone already is not an error.
func (p Process) Signal(sig syscall.Signal) error {
	err := unix.PidfdSendSignal(int(p.PIDFD), sig, nil, 0)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("send %s to process %d: %w", unix.SignalName(sig), p.PID, err)
	}
	return nil
}

// Close lets go of the process, which goes on.
func (p Process) Close() error { return p.PIDFD.Close() }

// Reap collects one process that has ended, without waiting. It returns 0
// when there is none.
func Reap() (pid int, status syscall.WaitStatus) {
	for {
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil || pid <= 0:
			return 0, 0
		default:
			return pid, status
		}
	}
}

// Raise sends a signal to this process.
func Raise(sig syscall.Signal) { _ = unix.Kill(unix.Getpid(), sig) }

// SetName sets what ps, top and pgrep show as this process's short name; it
// is cut to 15 bytes. Without it a process started from Self is called "exe".
func SetName(name string) error {
	if err := os.WriteFile("/proc/self/comm", []byte(name), 0); err != nil {
		return fmt.Errorf("name process: %w", err)
	}
	return nil
}

// SignalName is the signal's name in the words of kill(1), such as SIGTERM.
func SignalName(sig syscall.Signal) string { return unix.SignalName(sig) }

// Monotonic is the time on CLOCK_MONOTONIC, the same for all processes. See
// clock_gettime(2).
func Monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("BUG: the kernel has no monotonic clock: " + err.Error())
	}
	return time.Duration(ts.Nano())
}

// Clock tells the time of Monotonic without a system call.
type Clock struct {
	at   time.Time
	then time.Duration
}

// NewClock sets a clock.
func NewClock() Clock { return Clock{time.Now(), Monotonic()} }

// Now is the time.
func (c Clock) Now() time.Duration { return c.then + time.Since(c.at) }
