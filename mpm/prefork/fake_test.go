package prefork

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/image"
	"github.com/apphost/apphost/mpm/internal/sys"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// world is a system without processes: the test says what they do. Its clock
// moves only when the test moves it.
type world struct {
	t      *testing.T
	now    time.Time
	parent *Parent

	nextPID    int
	procs      map[int]*fakeProcess
	dead       []int // to be reaped
	states     map[int]mpm.State
	threads    map[int][2]int // ready and busy ones of a slot that has several
	conns      map[int]uint64 // by the slot of the child
	options    mpm.Options    // what the next candidate leaves behind
	candidates []*fakeProcess
	files      []*fakeFiles

	spawnErr, openErr, reopenErr error

	upgradeErr error
	successors []string // paths of other binaries that were tried
	handed     *state   // what the last one was to take over

	behind   []int // children that still write to the old log files
	served   []Status
	failures []Result
	spawning []SpawnStatus
	log      bytes.Buffer

	reports     map[int]threadReport
	runs        map[int][]scoreboard.Running
	failed      map[int][]uint64 // failures of each code, by slot
	asked       map[int]bool     // to ring
	beforeAsked func()
	looks       int           // at what runs
	sharing     time.Duration // how many want the processor of each child; 0 is not known
	published   []Snapshot
	publishCost time.Duration
}

type fakeProcess struct {
	w       *world
	number  int
	slot    int
	bucket  int
	gen     uint64
	status  syscall.WaitStatus
	dead    bool
	signals []syscall.Signal
	deaf    bool // does not end on SIGTERM
	stuck   bool // does not even end on SIGKILL
}

func (p *fakeProcess) pid() int { return p.number }
func (p *fakeProcess) release() {}
func (p *fakeProcess) signal(sig syscall.Signal) error {
	if p.dead {
		p.w.t.Errorf("signal %v to process %d, which is dead", sig, p.number)
	}
	p.signals = append(p.signals, sig)
	if !p.stuck && (sig == syscall.SIGKILL || !p.deaf) {
		p.w.exit(p, syscall.WaitStatus(sig))
	}
	return nil
}

func (p *fakeProcess) result() (*image.Image, *mpm.Options, error) {
	o := p.w.options
	return new(image.Image), &o, nil
}

type fakeFiles struct {
	image      *image.Image
	opened     bool
	retiredOne int
	looks      int
	retiredIn  []int // buckets
	swept      int
	drained    bool
	inQueue    int // waits to be accepted
	retired    bool
	released   bool
	out        map[int]bool // codes that are quarantined
}

func (f *fakeFiles) sockets() []Socket { return nil }
func (f *fakeFiles) open()             { f.opened = true }
func (f *fakeFiles) retireOne(b int) error {
	f.retiredOne++
	f.retiredIn = append(f.retiredIn, b)
	return nil
}
func (f *fakeFiles) lookAgain(int)          { f.looks++ }
func (f *fakeFiles) sweep(time.Time) error  { f.swept++; return nil }
func (f *fakeFiles) drain() error           { f.drained = true; return nil }
func (f *fakeFiles) waiting() (bool, error) { return f.inQueue > 0, nil }
func (f *fakeFiles) retire()                { f.retired = true }
func (f *fakeFiles) release()               { f.released = true }
func (f *fakeFiles) quarantine(code int, out bool) {
	if f.out == nil {
		f.out = map[int]bool{}
	}
	f.out[code] = out
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, now: time.Unix(1000, 0), nextPID: 100,
		procs: make(map[int]*fakeProcess), states: make(map[int]mpm.State),
		threads: make(map[int][2]int), conns: make(map[int]uint64),
		reports: make(map[int]threadReport), runs: make(map[int][]scoreboard.Running), asked: make(map[int]bool), sharing: 1, failed: make(map[int][]uint64),
		options: mpm.Options{
			StartServers: 3, MinSpareServers: 2, MaxSpareServers: 4, MaxRequestWorkers: 8, ServerLimit: 12,
			StartTimeout: 30 * time.Second, CandidateTimeout: 10 * time.Second, KillTimeout: 5 * time.Second,
		},
	}
	w.parent = newParent(Config{
		Logger:   slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Failed:   func(r Result) { w.failures = append(w.failures, r) },
		Spawning: func(_ uint64, s SpawnStatus) { w.spawning = append(w.spawning, s) },
		Serving:  func(s Status) { w.served = append(w.served, s) },
		Jitter:   func() float64 { return 0 },
	}, w)
	return w
}

func (w *world) startCandidate() (candidate, error) {
	p := w.newProcess()
	w.candidates = append(w.candidates, p)
	return p, nil
}

func (w *world) startSuccessor(path string, st *state) (candidate, error) {
	if w.upgradeErr != nil {
		return nil, w.upgradeErr
	}
	w.successors = append(w.successors, path)
	w.handed = st
	return w.startCandidate()
}

func (w *world) openGeneration(img *image.Image, _ *mpm.Options) (generationFiles, error) {
	if w.openErr != nil {
		return nil, w.openErr
	}
	f := &fakeFiles{image: img}
	w.files = append(w.files, f)
	return f, nil
}

func (w *world) spawn(slot, bucket int, number uint64, _ generationFiles) (process, error) {
	if w.spawnErr != nil {
		return nil, w.spawnErr
	}
	p := w.newProcess()
	p.slot, p.bucket, p.gen = slot, bucket, number
	w.states[slot], w.conns[slot], w.failed[slot] = mpm.StateStarting, 0, nil
	return p, nil
}

func (w *world) newProcess() *fakeProcess {
	w.nextPID++
	p := &fakeProcess{w: w, number: w.nextPID}
	w.procs[p.number] = p
	return p
}

func (w *world) reap() (int, syscall.WaitStatus) {
	if len(w.dead) == 0 {
		return 0, 0
	}
	pid := w.dead[0]
	w.dead = w.dead[1:]
	return pid, w.procs[pid].status
}

func (w *world) slotState(slot int) mpm.State { return w.states[slot] }

func (w *world) slotThreads(slot int) (ready, busy int) {
	if of, ok := w.threads[slot]; ok {
		return of[0], of[1]
	}
	return oneThread(w.states[slot])
}

func (w *world) slotLetters(slot int) []mpm.State { return []mpm.State{w.states[slot]} }

// oneThread is what a slot of one thread counts.
func oneThread(state mpm.State) (ready, busy int) {
	switch {
	case state == mpm.StateReady:
		return 1, 0
	case state.Busy():
		return 0, 1
	}
	return 0, 0
}

func (w *world) slotServed(slot int) uint64 { return w.conns[slot] }

func (w *world) slotReport(slot int) []threadReport { return []threadReport{w.reports[slot]} }

func (w *world) slotRuns(slot int) []scoreboard.Running {
	w.looks++
	return w.runs[slot]
}

func (w *world) awaitRun(slot int) {
	if w.beforeAsked != nil {
		w.beforeAsked()
	}
	w.asked[slot] = true
}

// run makes the child in a slot run what it says, as a child does.
func (w *world) run(slot int, r scoreboard.Running) {
	w.runs[slot] = []scoreboard.Running{r}
	if r.Number != 0 && w.asked[slot] {
		w.asked[slot] = false
		w.parent.handle(childRuns{}, w.now)
	}
}

func (w *world) slotFailures(slot int) (n uint32) {
	for _, of := range w.failed[slot] {
		n += uint32(of)
	}
	return n
}

func (w *world) slotFailuresOf(slot, code int) uint64 {
	if code >= len(w.failed[slot]) {
		return 0
	}
	return w.failed[slot][code]
}

func (w *world) load() [3]float64 { return [3]float64{1, 0.5, 0.25} }

func (w *world) cpu() (own, ended sys.CPUTime) {
	return sys.CPUTime{User: time.Second, System: 2 * time.Second}, sys.CPUTime{User: 3 * time.Second, System: 4 * time.Second}
}

func (w *world) processCPU(int) sys.CPUTime {
	return sys.CPUTime{User: 10 * time.Second, System: 20 * time.Second}
}

// ran is the part of all time that each child gets a processor for.
func (w *world) ran(int) (cpu time.Duration, ok bool) {
	if w.sharing == 0 {
		return 0, false
	}
	return w.now.Sub(time.Unix(0, 0)) / w.sharing, true
}

func (w *world) publish(take func() Snapshot) time.Duration {
	w.published = append(w.published, take())
	return w.publishCost
}

func (w *world) reopenLogs() error { return w.reopenErr }
func (w *world) oldLogs() []int    { return w.behind }

// exit ends a process; the parent learns it at the next settle.
func (w *world) exit(p *fakeProcess, status syscall.WaitStatus) {
	if !p.dead {
		p.dead, p.status = true, status
		w.dead = append(w.dead, p.number)
	}
}

// settle delivers deaths and lets the parent act until nothing changes.
func (w *world) settle() {
	for range 10 {
		ended := append([]int(nil), w.dead...)
		w.parent.handle(childrenEnded{}, w.now)
		for _, pid := range ended {
			w.parent.handle(childClosed{pid}, w.now)
			w.parent.handle(candidateClosed{pid}, w.now)
		}
		w.parent.advance(w.now)
	}
}

// pass lets time go by in small steps.
func (w *world) pass(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(50 * time.Millisecond)
		w.settle()
	}
}

// children are the live processes of a generation, in order of slots.
func (w *world) children(gen uint64) []*fakeProcess {
	var list []*fakeProcess
	for _, ch := range w.parent.slots {
		if ch == nil {
			continue
		}
		if p := w.procs[ch.proc.pid()]; p.gen == gen && !p.dead {
			list = append(list, p)
		}
	}
	return list
}

func (w *world) ready(ps ...*fakeProcess) {
	for _, p := range ps {
		w.states[p.slot] = mpm.StateReady
		w.parent.handle(childSaid{pid: p.number, ready: true}, w.now)
	}
	w.settle()
}

// candidateDone lets the youngest candidate succeed.
func (w *world) candidateDone() {
	c := w.candidates[len(w.candidates)-1]
	w.parent.handle(candidateSaid{c.number, sayDone, ""}, w.now)
	w.exit(c, 0)
	w.settle()
}

// start brings generation 1 into service.
func (w *world) start() {
	w.t.Helper()
	w.parent.begin(w.now)
	w.candidateDone()
	w.ready(w.children(1)...)
	if w.parent.serving == nil || w.parent.serving.number != 1 {
		w.t.Fatal("generation 1 does not serve")
	}
}

// ask sends a request and returns where its result will be.
func (w *world) ask(what Request) <-chan Result {
	reply := make(chan Result, 1)
	w.parent.handle(requested{what, reply}, w.now)
	w.settle()
	return reply
}

// drainIdle lets the idle children of a retired generation leave, as their
// pipe tells them to.
func (w *world) drainIdle(gen uint64) {
	for _, p := range w.children(gen) {
		if w.states[p.slot] == mpm.StateReady {
			w.exit(p, 0)
		}
	}
	w.settle()
}

// said counts the lines of the log with all of these words.
func (w *world) said(words ...string) int {
	n := 0
	for line := range strings.Lines(w.log.String()) {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
			n++
		}
	}
	return n
}

func answered(reply <-chan Result) (Result, bool) {
	select {
	case r := <-reply:
		return r, true
	default:
		return Result{}, false
	}
}

var errFake = errors.New("fake failure")
