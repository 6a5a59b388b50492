package prefork

import (
	"fmt"
	"strconv"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// handshakeVersion is raised whenever the descriptors, the arguments or the
// layout of shared memory change, so that a master never runs a child of
// another build by accident.
const handshakeVersion = "8"

// handshakeEnv carries the version from master to child and candidate.
const handshakeEnv = "APPHOST_HANDSHAKE"

// The first argument of a child, a candidate and a master that has detached
// itself: their role, as ps shows it.
const (
	RoleMaster    = "apphost: master"
	RoleChild     = "apphost: child"
	RoleCandidate = "apphost: candidate"
)

// The descriptors a child starts with.
const (
	fdLog        = 2  // standard error: the log
	fdImage      = 3  // memfd, sealed: what the generation runs from
	fdSlot       = 4  // memfd: the child's page of the scoreboard
	fdPod        = 5  // pipe, read: one byte is for one idle child
	fdGeneration = 6  // pipe, read: closed when the generation is over
	fdLifeline   = 7  // pipe, read: closed when the master is gone
	fdGate       = 8  // pipe, read: closed when the generation may accept
	fdHurry      = 9  // pipe, read: closed when idle connections are to end
	fdReport     = 10 // pipe, write: ready, or why not
	fdNewLogs    = 11 // socket: log files to change over to
	fdFlags      = 12 // memfd that cannot be written to: which codes are quarantined
	fdListeners  = 13 // the listening sockets, in the order of the options; see
	// bucketArgs; then the logs but for the error log, in the order of the options

	// With mpm.Options.Status, two more at the end: a pipe,
	// write: one byte asks for a snapshot; and the bulletin with the snapshots,
	// a memfd that cannot be written to.
)

// fdCandidateReport is what a candidate starts with besides fdLog and fdImage,
// which is an empty memfd for it to fill: a pipe, write.
const fdCandidateReport = 4

// fdSuccessorState is what a successor check has besides those of a candidate: a
// sealed memfd with the state that would be handed over.
const fdSuccessorState = 5

// fdDetachedReady is what a detached master starts with besides fdLog, on which
// its launcher reads what stands in the way of the start: a pipe, write.
const fdDetachedReady = 3

// What a child writes to its report pipe.
const (
	reportReady = 'R' // it can accept connections
	reportFail  = 'F' // it cannot serve; the reason follows
	reportRuns  = 'C' // it runs code that may not come back, as the master wanted to know
)

// What the master writes to the pod; each byte is for one idle child.
const (
	podLeave = '!'
	podLook  = '?' // whether a connection waits: the child that was woken for it has died
)

// reportBytesMax bounds what the master listens to.
const reportBytesMax = 4096

// Exit codes of a child. The master spawns more slowly after either of the
// last two. 2 is left to the Go runtime, which exits with it
// after a panic.
const (
	ExitOK    = 0  // told to leave, or served its share
	ExitSick  = 7  // short of a resource; trying again later may help
	ExitFatal = 15 // its plugins are unusable; trying again will not help
)

// Generation and slot of a child are arguments, so that ps shows them.
func childArgs(slot int, generation uint64, b bucketArgs) []string {
	args := []string{RoleChild, "slot", strconv.Itoa(slot), "generation", strconv.FormatUint(generation, 10)}
	return append(args, b.encode()...)
}

func parseChildArgs(args []string) (slot int, generation uint64, err error) {
	if len(args) < 5 || args[0] != RoleChild || args[1] != "slot" || args[3] != "generation" {
		return 0, 0, fmt.Errorf("start child: arguments %q are not those of a child", args)
	}
	if slot, err = strconv.Atoi(args[2]); err != nil {
		return 0, 0, fmt.Errorf("start child: slot: %w", err)
	}
	if generation, err = strconv.ParseUint(args[4], 10, 64); err != nil {
		return 0, 0, fmt.Errorf("start child: generation: %w", err)
	}
	return slot, generation, nil
}

// checkHandshake refuses a process that was not started by a master of the
// same build.
func checkHandshake(getenv func(string) string) error {
	if got := getenv(handshakeEnv); got != handshakeVersion {
		return fmt.Errorf("this role is started by apphost itself: handshake version %q, want %q", got, handshakeVersion)
	}
	return nil
}

// inherit takes over an inherited descriptor.
func inherit(fd int) sys.FD {
	f := sys.FD(fd)
	f.CloseOnExec()
	return f
}
