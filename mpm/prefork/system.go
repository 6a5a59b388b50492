package prefork

import (
	"net"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/image"
	"github.com/apphost/apphost/mpm/internal/sys"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// system is what a Parent needs of the operating system.
type system interface {
	// startCandidate starts trying out the configuration as it is now. What
	// it says arrives as candidateSaid and, at last, candidateClosed.
	startCandidate() (candidate, error)
	// startSuccessor starts a check of whether the program at path could take
	// over st, to which it adds the descriptors. It reports as a candidate.
	startSuccessor(path string, st *state) (candidate, error)
	// openGeneration binds listeners and makes the pipes of a generation.
	openGeneration(img *image.Image, o *mpm.Options) (generationFiles, error)
	// spawn starts a child of a bucket. What it says arrives as childSaid and, at last,
	// childClosed.
	spawn(slot, bucket int, number uint64, files generationFiles) (process, error)
	// reap collects one process that has ended; pid is 0 when there is none.
	reap() (pid int, status syscall.WaitStatus)
	// slotState is what the scoreboard says of a slot.
	slotState(slot int) mpm.State
	// slotThreads is how many threads in a slot are ready for a connection, by
	// the scoreboard, and how many serve one.
	slotThreads(slot int) (ready, busy int)
	// slotLetters has the state of each thread in a slot, for people.
	slotLetters(slot int) []mpm.State
	// slotServed is how many connections and requests, by the scoreboard, the child in a
	// slot has served.
	slotServed(slot int) uint64
	// reopenLogs opens all log files anew, or none, and tells the children.
	reopenLogs() error
	// oldLogs are the pids of the children that may still write to files of
	// before.
	oldLogs() []int
	// slotReport is what the child in a slot says on the scoreboard that its
	// threads do and have done.
	slotReport(slot int) []threadReport
	// slotRuns is what the threads of a slot say that they run.
	slotRuns(slot int) []scoreboard.Running
	// slotFailures is another number after each failure of a code that the child
	// in a slot tells of, and slotFailuresOf how often it says that one has failed.
	slotFailures(slot int) uint32
	slotFailuresOf(slot, code int) uint64
	// awaitRun asks the child in a slot to say when it next runs code, which
	// arrives as childRuns. What it runs already does not.
	awaitRun(slot int)
	// load is how busy the machine is, as in ServerStatus.
	load() [3]float64
	// cpu is the processor time of the master, of all processes of its that
	// have ended, and of one that lives.
	cpu() (own, ended sys.CPUTime)
	processCPU(pid int) sys.CPUTime
	// ran is the latter at once and exactly, if it can be known.
	ran(pid int) (cpu time.Duration, ok bool)
	// publish shows what take returns to the children that have wished for it,
	// and returns how long that took.
	publish(take func() Snapshot) (cost time.Duration)
}

// threadReport is what a thread of a child says of itself.
type threadReport struct {
	scoreboard.ThreadStatus
	// Since is how long ago the last request, or connection without one, began;
	// it is zero before the first. Took is how long the last one that is
	// finished took, if none began after it.
	Since, Took time.Duration
}

// process is one that the master started.
type process interface {
	pid() int
	signal(sig syscall.Signal) error
	// release forgets the process, after it was reaped, and what it may still
	// have to report.
	release()
}

// candidate is a process that tries out a new generation.
type candidate interface {
	process
	// result opens what the candidate left behind, after it said done.
	result() (*image.Image, *mpm.Options, error)
}

// generationFiles are the descriptors that the children of one generation
// share.
type generationFiles interface {
	sockets() []Socket
	// open lets the children accept, those that are ready and those to come.
	open()
	// retireOne makes one idle child of a bucket leave.
	retireOne(bucket int) error
	// lookAgain makes one idle child of a bucket look whether a connection
	// waits.
	lookAgain(bucket int)
	// quarantine keeps connections of all children from a code, or lets them
	// come to it again.
	quarantine(code int, out bool)
	// sweep closes sockets that no bucket has any longer and that no client
	// waits on.
	sweep(now time.Time) error
	// drain lets no further connection into the queues of the listeners, and
	// makes the children end what idles between two requests. They go on
	// accepting what is in the queues.
	drain() error
	// waiting reports whether a connection waits in the queues.
	waiting() (bool, error)
	// retire makes every child leave once it is idle.
	retire()
	// release closes everything, after the last child is gone.
	release()
}

// Socket is a listening socket, as told to people.
type Socket struct {
	Name    string
	Address net.Addr // a *net.TCPAddr or *net.UnixAddr
}

// event is something that happened outside.
type event interface{ isEvent() }

type (
	// childrenEnded: some process may be ready to be reaped.
	childrenEnded struct{}
	// childSaid is what came through a child's report pipe.
	childSaid struct {
		pid   int
		ready bool
		fail  string
	}
	// childRuns: a child runs code that may not come back; see awaitRun.
	childRuns struct{}
	// childClosed: the child's report pipe is closed.
	childClosed struct{ pid int }
	// candidateSaid is one line of a candidate's report.
	candidateSaid struct {
		pid        int
		kind, text string
	}
	// candidateClosed: the candidate's report pipe is closed.
	candidateClosed struct{ pid int }
	// requested is something an operator asks for.
	requested struct {
		what  Request
		reply chan<- Result
	}
	// upgradeRequested is the wish for another binary, and upgradeAwaited that
	// of somebody who asked the program before this one.
	upgradeRequested struct {
		path  string
		reply chan<- Result
	}
	upgradeAwaited struct{ reply chan<- Result }
	// upgradeEvent is one of the two.
	upgradeEvent interface {
		event
		tell(p *Parent)
	}
	// inspected is a wish to see how things are.
	inspected struct{ reply chan<- Snapshot }
	// released is a wish to end the quarantine of a code.
	released struct {
		name  string
		reply chan<- Result
	}
	// wished: a child wants to know how things are. The next one comes after
	// the next publication.
	wished struct{}
)

func (childrenEnded) isEvent()   {}
func (childSaid) isEvent()       {}
func (childRuns) isEvent()       {}
func (childClosed) isEvent()     {}
func (candidateSaid) isEvent()   {}
func (candidateClosed) isEvent() {}
func (requested) isEvent()       {}
func (inspected) isEvent()       {}
func (wished) isEvent()          {}
func (released) isEvent()        {}

func (upgradeRequested) isEvent() {}
func (upgradeAwaited) isEvent()   {}

// Request is what an operator can ask a running master for.
type Request int

// The requests.
const (
	// Reload tries out the configuration and plugins as they are now and
	// lets a new generation take over; the old one finishes what it serves.
	Reload Request = iota + 1
	// Restart is Reload, but the older generations are ended as soon as the
	// new one serves.
	Restart
	// Stop ends all children and the master.
	Stop
	// GracefulStop ends the master after its last connection: no new ones are
	// taken, those that wait to be accepted and those that are served are
	// served to their end. A Stop meanwhile ends it at once.
	GracefulStop
	// ReopenLogs opens the log files anew by their names. It is answered when
	// no process writes to those of before any longer.
	ReopenLogs
)

// Result is the answer to a Request.
type Result struct {
	// Generation is the one that serves now, 0 if none does or the server is
	// stopping.
	Generation uint64
	// Errors say why the request failed; none means it was done.
	Errors []string
	// Warnings are for the operator to read.
	Warnings []string
}
