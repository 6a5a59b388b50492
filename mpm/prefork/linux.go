package prefork

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/image"
	"github.com/apphost/apphost/mpm/internal/sys"
	"github.com/apphost/apphost/mpm/listen"
	"github.com/apphost/apphost/mpm/logs"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// How late a child's timers may be. A Go runtime's monitor thread otherwise wakes
// every few tens of microseconds, beside each thread that is blocked in a system
// call. With the slack, 64 prefork children echo twice as fast, and a worker child
// needs a seventh less for each request. The price: what a prefork child times is
// late by so much, which is why deadlines that matter are the master's.
const (
	childTimerSlack = 50 * time.Millisecond
	crewTimerSlack  = time.Millisecond
)

// linux is the system of a real master. It belongs to the master's one
// goroutine; only the readers of report pipes, which send events, run beside.
type linux struct {
	configPath string
	env        []string // of candidates
	childEnv   []string // in the prefork model
	crewEnv    []string // in the worker model
	events     chan<- event
	log        *slog.Logger

	null      *os.File
	lifelineR sys.FD
	lifelineW sys.FD // held open for as long as this process lives
	table     listen.Table
	board     []*scoreboard.Slot
	bells     []*atomic.Bool // by slot: whether its child was asked to ring, and has not
	pid       pidFile
	logFiles  logFiles

	cfg         Config
	predecessor *predecessor // until this program serves
	foreign     map[int]pageState

	bulletin *bulletin // nil until a generation needs it
	encode   func(Snapshot) []byte
}

func newLinux(cfg Config, events chan<- event) (*linux, error) {
	if err := sys.CheckSelf(); err != nil {
		return nil, err
	}
	if err := sys.KeepFromChildren(); err != nil {
		return nil, err
	}
	var table listen.Table
	if err := table.Inherit(cfg.Environment, os.Getpid()); err != nil {
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open null device: %w", err)
	}
	files, err := newLogFiles(cfg)
	if err != nil {
		_ = null.Close()
		return nil, err
	}
	r, w, err := sys.Pipe()
	if err != nil {
		_ = null.Close()
		files.release()
		return nil, err
	}
	env := environment(cfg.Environment)
	return &linux{
		configPath: cfg.ConfigPath, env: env, childEnv: withProcessors(env, 1), crewEnv: crewEnvironment(env), events: events, log: cfg.Logger, table: table,
		null: null, lifelineR: r, lifelineW: w, pid: pidFile{pid: cfg.PID}, logFiles: files, cfg: cfg, encode: cfg.Publish,
	}, nil
}

// release closes everything, after the last process.
func (l *linux) release() {
	_ = l.lifelineW.Close()
	_ = l.lifelineR.Close()
	_ = l.null.Close()
	if l.predecessor != nil {
		_ = l.predecessor.program.Close()
	}
	for _, page := range l.foreign {
		_ = page.FD.Close()
	}
	l.logFiles.release()
	l.pid.release()
	if l.bulletin != nil {
		l.bulletin.close()
	}
	for _, s := range l.board {
		if s != nil {
			_ = s.Close()
		}
	}
}

// start runs this program in another role. log becomes its standard error, the
// given files descriptors 3 and up; sys.None among them stands for the process's end of a
// report pipe, whose other end is returned.
func (l *linux) start(c sys.Command, log sys.FD, files ...sys.FD) (sys.Process, *os.File, error) {
	r, w, err := sys.Pipe()
	if err != nil {
		return sys.Process{}, nil, err
	}
	defer func() { _ = w.Close() }()
	null := sys.FD(l.null.Fd())
	c.Files = append([]sys.FD{null, null, log}, files...)
	c.Files[slices.Index(c.Files, sys.None)] = w
	proc, err := sys.Start(c)
	if err != nil {
		_ = r.Close()
		return sys.Process{}, nil, err
	}
	return proc, os.NewFile(uintptr(r), "report"), nil
}

func (l *linux) spawn(slot, bucket int, number uint64, files generationFiles) (process, error) {
	g := files.(*linuxGeneration)
	if more := slot + 1 - len(l.board); more > 0 {
		l.board = append(l.board, make([]*scoreboard.Slot, more)...)
		l.bells = append(l.bells, make([]*atomic.Bool, more)...)
	}
	if err := l.prepareSlot(slot, g.options.Threads(), len(g.options.Codes)); err != nil {
		return nil, fmt.Errorf("spawn child: %w", err)
	}
	newLogs, theirs, err := sys.SocketPair()
	if err != nil {
		return nil, fmt.Errorf("spawn child: %w", err)
	}
	defer func() { _ = theirs.Close() }()
	// In the order of the const block in handshake.go.
	fds := []sys.FD{g.image.FD(), l.board[slot].FD(), g.pods[bucket].r, g.generation.r, l.lifelineR, g.gate.r, g.hurry.r, sys.None, theirs, g.flags.FD()}
	sockets, surplus := g.socketsOf(bucket)
	fds = append(fds, sockets...)
	for _, f := range g.logs[1:] {
		fds = append(fds, f.FD())
	}
	if g.options.Status {
		fds = append(fds, l.bulletin.wish, l.bulletin.board.FD())
	}
	c := sys.Command{
		Args: childArgs(slot, number, bucketArgs{bucket, len(g.pods), surplus}), Env: g.env,
		DieWithParent: true, Identity: g.bornAs, TimerSlack: childTimerSlack, Batch: g.options.Batch,
	}
	if g.options.Model.Threaded() {
		c.TimerSlack = crewTimerSlack
	}
	proc, report, err := l.start(c, g.logs[0].FD(), fds...)
	if err != nil {
		_ = newLogs.Close()
		return nil, fmt.Errorf("spawn child: %w", err)
	}
	l.bells[slot] = new(atomic.Bool)
	go l.listenToChild(proc.PID, report, l.bells[slot])
	return l.logFiles.follow(linuxProcess{proc, report}, g.logs, newLogs), nil
}

// listenToChild turns a child's report into events. A child says R, and C each time
// that it was asked to, or F and a reason; one that says more than fits beside is
// not listened to any longer.
func (l *linux) listenToChild(pid int, report *os.File, bell *atomic.Bool) {
	defer func() { _ = report.Close() }()
	buf := make([]byte, reportBytesMax)
	said, unasked, ready := 0, 0, false
	for said+unasked < len(buf) {
		n, err := report.Read(buf[said:])
		if !ready && said == 0 && n > 0 && buf[0] == reportReady {
			ready = true
			l.events <- childSaid{pid: pid, ready: true}
			n = copy(buf, buf[1:n])
		}
		for said == 0 && unasked < len(buf) && n > 0 && buf[0] == reportRuns {
			if bell.CompareAndSwap(true, false) {
				unasked = 0
			} else {
				unasked++ // a ring may come late, or the master before this one have asked
			}
			l.events <- childRuns{}
			n = copy(buf, buf[1:n])
		}
		said += n
		if err != nil {
			break
		}
	}
	if said > 1 && buf[0] == reportFail {
		l.events <- childSaid{pid: pid, fail: strings.ToValidUTF8(string(buf[1:said]), "?")}
	}
	l.events <- childClosed{pid: pid}
}

func (l *linux) startCandidate() (candidate, error) {
	img, err := image.New()
	if err != nil {
		return nil, fmt.Errorf("start candidate: %w", err)
	}
	// A guest that spins in a candidate keeps it from noticing anything.
	c := sys.Command{Args: candidateArgs(l.configPath), Env: l.env, DieWithParent: true}
	proc, report, err := l.start(c, sys.FD(fdLog), img, sys.None)
	if err != nil {
		_ = img.Close()
		return nil, fmt.Errorf("start candidate: %w", err)
	}
	go l.listenToCandidate(proc.PID, report)
	return &linuxCandidate{linuxProcess: linuxProcess{proc, report}, image: img}, nil
}

// listenToCandidate turns a candidate's report into events.
func (l *linux) listenToCandidate(pid int, report *os.File) {
	defer func() { _ = report.Close() }()
	lines := bufio.NewScanner(report)
	lines.Buffer(nil, reportLineBytes)
	for lines.Scan() {
		kind, text, _ := strings.Cut(lines.Text(), " ")
		l.events <- candidateSaid{pid: pid, kind: kind, text: text}
	}
	l.events <- candidateClosed{pid: pid}
}

func (l *linux) openGeneration(img *image.Image, o *mpm.Options) (generationFiles, error) {
	if err := l.pid.hold(o.PIDFile); err != nil {
		return nil, err
	}
	if o.Status {
		if err := l.needBulletin(o); err != nil {
			return nil, err
		}
	}
	files, err := l.logFiles.acquire(o)
	if err != nil {
		return nil, err
	}
	socks, err := l.table.Acquire(o.Listeners)
	if err != nil {
		l.logFiles.table.Release(files)
		return nil, err
	}
	g := &linuxGeneration{
		system: l, image: img, options: o, socks: socks, listeners: o.Listeners, logs: files, pods: make([]pipe, o.BucketCount()),
		env: confinedEnv(l.envOf(o), &o.Privileges), bornAs: bornAs(&o.Privileges),
	}
	if err := l.table.Spread(socks, o.Listeners, len(g.pods)); err != nil {
		g.release()
		return nil, err
	}
	if g.flags, err = newFlags(o); err != nil {
		g.release()
		return nil, err
	}
	for _, p := range g.pipes() {
		if p.r, p.w, err = sys.Pipe(); err != nil {
			g.release()
			return nil, err
		}
	}
	return g, nil
}

func (l *linux) reap() (int, syscall.WaitStatus) { return sys.Reap() }

// linuxGeneration are a generation's descriptors. The children have the read
// end of each pipe, the master the write end.
type linuxGeneration struct {
	system  *linux
	image   *image.Image
	options *mpm.Options
	socks   []*listen.Socket
	// listeners are what socks are for, in the same order.
	listeners []mpm.Listener
	logs      []*logs.File // the error log, then those of the options
	// env and bornAs are its children's.
	env    []string
	bornAs *mpm.Identity

	pods                    []pipe // by bucket
	generation, gate, hurry pipe
	flags                   *scoreboard.Flags

	opened bool // it serves, or has served

	program sys.FileID // the binary that made it, zero for this one
}

func (g *linuxGeneration) pipes() []*pipe {
	list := []*pipe{&g.generation, &g.gate, &g.hurry}
	for b := range g.pods {
		list = append(list, &g.pods[b])
	}
	return list
}

// pipe is a pair of descriptors; the zero value has none.
type pipe struct{ r, w sys.FD }

// closeWriter tells every reader.
func (p *pipe) closeWriter() {
	if p.w != 0 {
		_ = p.w.Close()
		p.w = 0
	}
}

func (p *pipe) close() {
	p.closeWriter()
	if p.r != 0 {
		_ = p.r.Close()
		p.r = 0
	}
}

func (g *linuxGeneration) sockets() []Socket { return sockets(g.socks) }

func sockets(socks []*listen.Socket) []Socket {
	var list []Socket
	for _, s := range socks {
		list = append(list, Socket{Name: s.Name, Address: s.Bound})
	}
	return list
}

func (g *linuxGeneration) open() {
	if err := g.system.table.Apply(g.socks, g.listeners); err != nil {
		g.system.log.Error("cannot change a socket that stays", "err", err)
	}
	g.steer()
	g.opened = true
	if err := g.system.pid.renew(); err != nil {
		g.system.log.Error("the pid file is gone", "err", err)
	}
	if err := g.system.logFiles.serve(g.logs[0]); err != nil {
		g.system.log.Error("cannot change over to the log files", "err", err)
	}
	g.gate.closeWriter()
}

func (g *linuxGeneration) retireOne(bucket int) error {
	if _, err := g.pods[bucket].w.Write([]byte{podLeave}); err != nil {
		return fmt.Errorf("write to pod: %w", err)
	}
	return nil
}

func (g *linuxGeneration) lookAgain(bucket int) {
	_, _ = g.pods[bucket].w.Write([]byte{podLook}) // if it is full, there is enough to wake everybody
}

func (g *linuxGeneration) drain() error {
	g.hurryUp()
	var errs []error
	for _, s := range g.socks {
		errs = append(errs, s.RefuseNew())
	}
	return errors.Join(errs...)
}

func (g *linuxGeneration) waiting() (bool, error) {
	for _, s := range g.socks {
		if waiting, err := s.Waiting(); waiting || err != nil {
			return waiting, err
		}
	}
	return false, nil
}

func (g *linuxGeneration) retire() {
	g.hurryUp()
	g.generation.closeWriter()
	g.letGo()
}

func (g *linuxGeneration) release() {
	for _, p := range g.pipes() {
		p.close()
	}
	if g.flags != nil {
		_ = g.flags.Close()
	}
	g.letGo()
	g.system.logFiles.table.Release(g.logs)
	g.logs = nil
}
