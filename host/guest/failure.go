package guest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/sys"
)

// FailureKind says how a run of a guest ended, if not by returning.
type FailureKind int

// The ways a run fails.
const (
	Trapped       FailureKind = iota // the guest did what wasm forbids
	Exited                           // it called proc_exit
	StackOverflow                    // it recursed too deeply
	Refused                          // it used a host function wrongly (see Abort)
	HostFault                        // a host function failed; a fault of ours
	Overtime                         // its turn took longer than its limit
	Stopped                          // there was no more use for it (see Stop)
)

// Failure is the error of a run that did not return. Its instance is lost.
type Failure struct {
	Kind FailureKind
	// Func is the exported function that ran.
	Func string
	// Cause is one line about what happened.
	Cause string
	// ExitCode is what the guest passed to proc_exit, of an Exited.
	ExitCode uint32
	// Stack is the guest's call stack, one function a line.
	Stack string
	// Limit is how long the turn might have taken, and Call the name of the host
	// function that it was in, of an Overtime.
	Limit time.Duration
	Call  string
	// HostStack is the host's, of a HostFault. It is for debugging and never
	// for clients.
	HostStack string
}

// Error says in one line what happened.
func (f *Failure) Error() string {
	switch f.Kind {
	case Exited:
		return fmt.Sprintf("%s exited with code %d", f.Func, f.ExitCode)
	case Refused:
		return f.Func + " misused the host: " + f.Cause
	case Stopped:
		return f.Func + " was stopped: " + f.Cause
	case HostFault:
		return f.Func + " hit a fault in the host: " + f.Cause
	case Overtime:
		return f.Func + " " + f.Cause
	case Trapped, StackOverflow:
		return f.Func + " trapped: " + f.Cause
	}
	panic("BUG: failure without a kind")
}

// IsOvertime reports whether a run failed because it took longer than it may.
func IsOvertime(err error) bool {
	f, ok := errors.AsType[*Failure](err)
	return ok && f.Kind == Overtime
}

// Crash reports whether the guest has crashed: not if it has ended by itself, for a
// fault of ours, or because its time was over, which may be for a slow client.
func (f *Failure) Crash() bool {
	return f.Kind == Trapped || f.Kind == StackOverflow || f.Kind == Refused
}

// NoteCrash tells who wants to know that a run, which returned err, has crashed,
// if it has. It is for the ABIs: a run may also come to that because the client
// has gone, which is nothing against the guest.
func (m *Module) NoteCrash(err error) {
	if f, ok := errors.AsType[*Failure](err); ok && f.Crash() {
		m.Crashed()
	}
}

// Crashed does so whatever the run returned.
func (m *Module) Crashed() {
	if m.crashed != nil {
		m.crashed()
	}
}

// abortError is what Abort carries through the engine.
type abortError struct{ cause string }

func (e *abortError) Error() string { return e.cause }

// Abort ends the guest that called a host function, which Abort does not
// return to. The run fails as Refused. It is for ABIs whose functions cannot
// return an error; the engine's only way to unwind a guest is a Go panic,
// which it recovers itself.
func Abort(format string, args ...any) {
	panic(&abortError{fmt.Sprintf(format, args...)})
}

// stopError is what Stop carries through the engine.
type stopError struct{ cause error }

func (e *stopError) Error() string { return e.cause.Error() }

// Stop is Abort for a guest that has done nothing wrong, but for whose work there
// is no more use, as SIGPIPE is for a process. The run fails as Stopped.
func Stop(cause error) { panic(&stopError{cause}) }

// IsStopped reports whether err is of a run that Stop has ended.
func IsStopped(err error) bool {
	f, ok := errors.AsType[*Failure](err)
	return ok && f.Kind == Stopped
}

// The engine's texts that have no exported value to compare with.
const (
	stackMark     = "\nwasm stack trace:\n"
	hostStackMark = "\n\nGo runtime stack trace:\n"
	overflowCause = "stack overflow"
	recoveredMark = " (recovered by wazero)"
)

// A record of a failure should fit a pipe's buffer, which the kernel writes
// whole, and the names in it are the guest's.
const (
	causeBytesMax = 512
	stackBytesMax = 2 << 10
)

// shorten cuts what is too long for a log: of the stack, its outer frames.
func (f *Failure) shorten() {
	f.Cause = cutText([]byte(f.Cause), causeBytesMax)
	if len(f.Stack) > stackBytesMax {
		whole := f.Stack[:stackBytesMax]
		if end := strings.LastIndexByte(whole, '\n'); end > 0 {
			f.Stack = whole[:end] + "\n…"
		} else {
			f.Stack = cutText([]byte(whole), stackBytesMax-1)
		}
	}
}

// classify turns what the engine returned from a run of fn into a Failure.
func classify(fn string, err error) *Failure {
	f := &Failure{Kind: Trapped, Func: fn}
	if exit, ok := errors.AsType[*sys.ExitError](err); ok {
		f.Kind, f.ExitCode, f.Cause = Exited, exit.ExitCode(), "proc_exit"
		return f
	}
	defer f.shorten()
	text, hostStack, inHost := strings.Cut(err.Error(), hostStackMark)
	cause, stack, _ := strings.Cut(text, stackMark)
	cause, recovered := strings.CutSuffix(cause, recoveredMark)
	f.Cause, _, _ = strings.Cut(cause, "\n")
	f.Stack = strings.ReplaceAll(strings.TrimSpace(stack), "\n\t", "\n")
	abort, aborted := errors.AsType[*abortError](err)
	overtime, late := errors.AsType[*overtimeError](err)
	stop, stopped := errors.AsType[*stopError](err)
	switch {
	case late:
		f.Kind, f.Cause, f.Limit, f.Call = Overtime, overtime.Error(), overtime.limit, overtime.call
	case stopped:
		f.Kind, f.Cause = Stopped, stop.Error()
	case aborted:
		f.Kind, f.Cause = Refused, abort.cause
	case inHost || recovered:
		f.Kind, f.HostStack = HostFault, hostStack
	case strings.Contains(f.Cause, overflowCause):
		f.Kind = StackOverflow
	}
	return f
}
