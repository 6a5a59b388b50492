package prefork

import (
	"container/heap"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/image"
	"github.com/apphost/apphost/mpm/internal/sys"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// simWorld is a system whose processes act by themselves: at random, but the
// same for the same seed. Its clock jumps from one thing that happens to the
// next.
type simWorld struct {
	rng     *rand.Rand
	faults  simFaults
	at      time.Duration // since simEpoch
	paused  time.Duration // how much of it the master was stopped
	pauseOK time.Duration // when the next pause may be
	steps   int
	idle    int // loops of the master in a row that nothing caused
	parent  *Parent
	wake    time.Time // when the master wants to be woken

	due      simQueue // what will happen
	seq      uint64
	inbox    []event          // of the master
	chld     bool             // SIGCHLD is pending
	quiet    bool             // no new faults, requests and connections
	storm    bool             // whatever is spawned dies young
	buckets  int              // of the youngest generation that has served
	backlog  [4]int           // connections that nobody has accepted, by bucket
	waiting  int              // all of backlog
	empty    [4]time.Duration // since when a bucket could have a child and has none, in active time; 0 is not
	nextPID  int
	live     []*simProc    // not reaped
	dead     []*simProc    // to be reaped
	unknown  int           // orphans to be reaped
	all      []*simProc    // for what holds at the end
	states   []mpm.State   // by slot
	conns    []int         // likewise
	threaded bool          // the model is worker
	crowded  time.Duration // when no slot was free, the last time; in active time
	gens     []*simFiles   // by number, from 1
	options  mpm.Options   // of the youngest candidate
	limit    int
	spawns   int
	asks     []*simAsk
	hard     bool // a restart was asked for
	unkilled bool // some process does not end by SIGKILL
	youngest uint64
	answers  int
	drained  bool          // no new connections
	emptyAt  time.Duration // since when a graceful stop has no children, in active time
	leaky    bool          // they could not be kept out
	backs    int           // how often an earlier generation came back
	prints   map[*blueprint]bool

	notes   [50]simNote
	noted   int
	problem string

	reopened    time.Duration // when the log files were
	newLogsTime time.Duration // how long children take to follow
}

var simEpoch = time.Unix(1_000_000, 0)

func (w *simWorld) now() time.Time { return simEpoch.Add(w.at) }

// active is the time in which the master could act.
func (w *simWorld) active() time.Duration { return w.at - w.paused }

// simNote is one line of the trace.
type simNote struct {
	step      int
	at        time.Duration
	what      string
	pid, slot int
	gen       uint64
	n         int
}

func (w *simWorld) note(what string, p *simProc, n int) {
	note := simNote{step: w.steps, at: w.at, what: what, n: n}
	if p != nil {
		note.pid, note.slot = p.number, p.slot
		if p.files != nil {
			note.gen = p.files.number
		}
	}
	w.notes[w.noted%len(w.notes)] = note
	w.noted++
}

// trace is what happened in the last steps in which anything did.
func (w *simWorld) trace() string {
	var text []byte
	for i := max(0, w.noted-len(w.notes)); i < w.noted; i++ {
		n := w.notes[i%len(w.notes)]
		text = fmt.Appendf(text, "%6d %15s  %-22s n=%d", n.step, n.at, n.what, n.n)
		if n.pid != 0 {
			text = fmt.Appendf(text, " pid=%d slot=%d generation=%d", n.pid, n.slot, n.gen)
		}
		text = append(text, '\n')
	}
	return string(text)
}

// violated notes the first invariant that does not hold.
func (w *simWorld) violated(format string, args ...any) {
	if w.problem == "" {
		w.problem = fmt.Sprintf(format, args...)
	}
}

// newSimWorld makes a world with a master about to start.
func newSimWorld(rng *rand.Rand) *simWorld {
	w := &simWorld{
		rng: rng, faults: newSimFaults(rng), nextPID: 100, buckets: 1, limit: 4 + rng.IntN(17),
		prints: make(map[*blueprint]bool),
	}
	w.states, w.conns = make([]mpm.State, w.limit), make([]int, w.limit)
	w.threaded = *simModel == string(mpm.Worker) || *simModel == "" && rng.IntN(2) == 0
	w.newLogsTime = time.Duration(rng.IntN(10)) * time.Millisecond
	w.parent = newParent(Config{Logger: slog.New(slog.DiscardHandler), Serving: w.nowServing, Jitter: rng.Float64}, w)
	return w
}

// simItem is something that will happen.
type simItem struct {
	at   time.Duration
	seq  uint64
	what simAct
	p    *simProc
	ev   event
	n, b int
}

type simAct uint8

const (
	actStimulus  simAct = iota // something comes from outside
	actReady                   // a child can accept
	actDie                     // a process ends with status n
	actTell                    // an event reaches the master
	actChld                    // SIGCHLD reaches the master
	actLie                     // a child writes nonsense to its slot
	actConnEnd                 // a connection is over
	actNotice                  // an idle child sees that its generation is over
	actTake                    // some idle child takes a byte from its bucket's pod
	actCandidate               // a candidate goes on
	actClose                   // a process closes its report, alive
	actHandshake               // a connection arrives that was on its way
)

type simQueue []simItem

func (q simQueue) Len() int { return len(q) }
func (q simQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q simQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *simQueue) Push(x any)   { *q = append(*q, x.(simItem)) }
func (q *simQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

func (w *simWorld) after(d time.Duration, it simItem) {
	w.seq++
	it.at, it.seq = w.at+d, w.seq
	heap.Push(&w.due, it)
}

// tell sends an event of p to the master; events of one process keep their
// order.
func (w *simWorld) tell(p *simProc, ev event) {
	at := max(w.at+w.delay(), p.told)
	p.told = at
	w.after(at-w.at, simItem{what: actTell, p: p, ev: ev})
}

// delay is how long word takes to the master: mostly next to nothing.
func (w *simWorld) delay() time.Duration {
	if w.rng.IntN(20) == 0 {
		return w.upTo(300 * time.Millisecond)
	}
	return w.upTo(2 * time.Millisecond)
}

func (w *simWorld) upTo(d time.Duration) time.Duration {
	return time.Duration(w.rng.Int64N(int64(d) + 1))
}

// happen lets everything happen that is due by now.
func (w *simWorld) happen() {
	for len(w.due) > 0 && w.due[0].at <= w.at {
		w.do(heap.Pop(&w.due).(simItem))
	}
}

// pause stops the master for d; everybody else goes on. What they say waits.
func (w *simWorld) pause(d time.Duration) {
	w.note("master is stopped, ms", nil, int(d.Milliseconds()))
	end, late := w.at+d, w.upTo(10*time.Millisecond)
	w.pauseOK = end + 5*time.Second
	var held []simItem
	for len(w.due) > 0 && w.due[0].at <= end {
		it := heap.Pop(&w.due).(simItem)
		w.at = max(w.at, it.at)
		if it.what == actTell || it.what == actChld {
			held = append(held, it)
			continue
		}
		w.do(it)
	}
	w.at = end
	w.paused += d
	for _, it := range held {
		w.after(late, it)
		if it.p != nil {
			it.p.told = max(it.p.told, w.at+late)
		}
	}
}

func (w *simWorld) startCandidate() (candidate, error) {
	if w.chance(w.faults.noCandidate) {
		w.note("candidate does not start", nil, 0)
		return nil, errFake
	}
	p := w.newProc()
	p.candidate, p.slot = true, -1
	p.stuck = w.chance(w.faults.stuck)
	w.scriptCandidate(p)
	w.note("candidate starts", p, 0)
	return simCandidate{p}, nil
}

// startSuccessor is for TestAnUpgrade… and their neighbours; the simulator asks
// for no upgrade.
func (w *simWorld) startSuccessor(string, *state) (candidate, error) { return nil, errFake }

func (w *simWorld) openGeneration(img *image.Image, o *mpm.Options) (generationFiles, error) {
	if w.chance(w.faults.noOpen) {
		w.note("generation is not opened", nil, 0)
		return nil, errFake
	}
	f := &simFiles{w: w, number: uint64(len(w.gens) + 1), options: o, image: img}
	w.gens = append(w.gens, f)
	w.note("generation", nil, int(f.number))
	return f, nil
}

func (w *simWorld) spawn(slot, bucket int, number uint64, files generationFiles) (process, error) {
	f := files.(*simFiles)
	w.checkSpawn(slot, number, f)
	w.checkBucket(bucket, f)
	if w.chance(w.faults.noSpawn) {
		w.note("child is not spawned", nil, slot)
		return nil, errFake
	}
	p := w.newProc()
	p.slot, p.bucket, p.files = slot, bucket, f
	w.states[slot], w.conns[slot] = mpm.StateStarting, 0
	w.spawns++
	w.scriptChild(p)
	w.note("spawn", p, 0)
	return p, nil
}

func (w *simWorld) newProc() *simProc {
	w.nextPID++
	p := &simProc{w: w, number: w.nextPID}
	w.live = append(w.live, p)
	w.all = append(w.all, p)
	return p
}

func (w *simWorld) reap() (int, syscall.WaitStatus) {
	if w.unknown > 0 {
		w.unknown--
		return 99, 0
	}
	if len(w.dead) == 0 {
		return 0, 0
	}
	i := w.rng.IntN(len(w.dead))
	p := w.dead[i]
	w.dead = append(w.dead[:i], w.dead[i+1:]...)
	for i, l := range w.live {
		if l == p {
			w.live = append(w.live[:i], w.live[i+1:]...)
			break
		}
	}
	p.reaped = true
	if f := p.files; f != nil && f.opened && (p.status != 0 || !p.ready || p.mute || p.closed) {
		f.badEnds = append(f.badEnds, w.active())
	}
	w.note("reaped", p, int(p.status))
	return p.number, p.status
}

// slotServed: nobody has served a connection when he dies.
func (w *simWorld) slotServed(int) uint64 { return 0 }

// These are for reports only; the parent decides nothing by them.
func (w *simWorld) slotReport(int) []threadReport     { return make([]threadReport, 1) }
func (w *simWorld) slotRuns(int) []scoreboard.Running { return nil }

func (w *simWorld) slotFailures(int) uint32 { return 0 }

func (w *simWorld) slotFailuresOf(int, int) uint64       { return 0 }
func (w *simWorld) awaitRun(int)                         {}
func (w *simWorld) load() (none [3]float64)              { return none }
func (w *simWorld) cpu() (own, ended sys.CPUTime)        { return own, ended }
func (w *simWorld) processCPU(int) (none sys.CPUTime)    { return none }
func (w *simWorld) ran(int) (cpu time.Duration, ok bool) { return 0, true }

// publish is for reports only, too.
func (w *simWorld) publish(take func() Snapshot) time.Duration {
	take()
	return 0
}

func (w *simWorld) slotThreads(slot int) (ready, busy int) {
	if !w.threaded {
		return oneThread(w.states[slot])
	}
	busy = w.conns[slot]
	if ch := w.parent.slots[slot]; ch != nil && w.states[slot] == mpm.StateReady {
		ready = max(0, ch.generation.options.Threads()-busy)
	}
	return ready, busy
}

func (w *simWorld) slotLetters(slot int) []mpm.State { return []mpm.State{w.states[slot]} }

func (w *simWorld) slotState(slot int) mpm.State { return w.states[slot] }

func (w *simWorld) reopenLogs() error {
	if w.chance(w.faults.noOpen) {
		return errFake
	}
	w.reopened = w.at
	return nil
}

// oldLogs are the children that were there at the reopening and do nothing, for
// as long as they live, and for a moment all of them.
func (w *simWorld) oldLogs() (pids []int) {
	for _, p := range w.live {
		if !p.candidate && !p.reaped && (p.hung || w.at < w.reopened+w.newLogsTime) {
			pids = append(pids, p.number)
		}
	}
	return pids
}
