package prefork

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apphost/apphost/mpm/image"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// Upgrade asks the running master to let the program at path take over this
// process, and waits for the result. It may be called by any goroutine. When
// the upgrade succeeds it does not return, for this program is gone: whoever
// asked has to be answered by the next one, see AwaitUpgrade. It fails only
// when ctx ends first.
func (m *Master) Upgrade(ctx context.Context, path string) (Result, error) {
	reply := make(chan Result, 1)
	return m.send(ctx, upgradeRequested{path, reply}, reply)
}

// AwaitUpgrade waits for the result of the upgrade in which this program took
// over, or was given back what it had handed over. It fails only when ctx ends
// first.
func (m *Master) AwaitUpgrade(ctx context.Context) (Result, error) {
	reply := make(chan Result, 1)
	return m.send(ctx, upgradeAwaited{reply}, reply)
}

func (m *Master) send(ctx context.Context, ev event, reply <-chan Result) (Result, error) {
	select {
	case m.events <- ev:
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	return await(ctx, reply)
}

// depart executes the program that is to take over. It returns if it could not,
// or if something else was asked for at the last moment.
//
// What signals that come from now on do is said in takeover.go.
func (m *Master) depart(p *Parent, l *linux, signals *signalEvents) {
	release, err := sys.HoldSignals()
	if err != nil {
		p.stay(err, time.Now())
		return
	}
	defer release()
	signals.hold(func(ev event) { p.handle(ev, time.Now()) })
	defer func() {
		signals.listen()
		p.handle(childrenEnded{}, time.Now()) // which nobody has heard meanwhile
	}()
	m.catchUp(p)
	for p.departs() {
		r, err := l.pack(p, signals.ignoresHangups)
		if err != nil {
			p.stay(err, time.Now())
			return
		}
		if len(m.events) == 0 {
			err = sys.Replace(r.program, r.args, r.env, r.keep)
			p.stay(err, time.Now())
		}
		r.undo()
		m.catchUp(p)
	}
}

// parcel is all that sys.Replace needs.
type parcel struct {
	program   sys.FD
	args, env []string
	keep      []sys.FD
	undo      func()
}

// pack makes the parcel of a Parent that departs. It has to be undone.
func (l *linux) pack(p *Parent, ignoresHangups bool) (*parcel, error) {
	st := p.export(time.Now())
	st.IgnoresHangups = ignoresHangups
	undo, err := l.describe(st)
	if err != nil {
		return nil, err
	}
	handed, err := st.seal()
	if err != nil {
		undo()
		return nil, err
	}
	r := &parcel{keep: append(st.descriptors(), handed), undo: func() {
		_ = handed.Close()
		undo()
	}}
	if s, ok := p.departure.program.(*linuxSuccessor); ok {
		r.program, r.args = s.program, append([]string{s.path}, l.cfg.Upgrade.Args[min(1, len(l.cfg.Upgrade.Args)):]...)
	} else {
		r.program, r.args = l.predecessor.program, l.predecessor.args
	}
	r.env = slices.DeleteFunc(slices.Clone(l.cfg.Environment), func(kv string) bool {
		return strings.HasPrefix(kv, takeoverEnv+"=")
	})
	r.env = append(r.env, takeoverValue(handed, st.Program))
	return r, nil
}

// describe adds to a state the descriptors of what it names. They stay ours;
// undo gives back what was made for the state alone.
func (l *linux) describe(st *state) (undo func(), err error) {
	var made []sys.FD
	undoOwner := func() {}
	giveBack := func() {
		undoOwner()
		for _, fd := range made {
			_ = fd.Close()
		}
	}
	defer func() {
		if err != nil {
			giveBack()
		}
	}()
	if st.Program, err = sys.OpenProgram(sys.Self); err != nil {
		return nil, err
	}
	made = append(made, st.Program)
	if st.ProgramID, err = st.Program.ID(); err != nil {
		return nil, err
	}
	if l.cfg.Upgrade.HandOver != nil {
		owner, fds, undoIt, err := l.cfg.Upgrade.HandOver()
		if err != nil {
			return nil, err
		}
		undoOwner = undoIt
		st.Owner = owner
		for _, fd := range fds {
			st.OwnerFDs = append(st.OwnerFDs, sys.FD(fd))
		}
	}
	st.Lifeline = [2]sys.FD{l.lifelineR, l.lifelineW}
	st.Sockets = l.table.Export()
	st.PIDFile = l.pid.export()
	handedLogs := l.logFiles.table.Export()
	st.Logs = &handedLogs
	if err := l.describeGenerations(st, &made); err != nil {
		return nil, err
	}
	for i := range st.Children {
		ch := &st.Children[i]
		c := ch.proc.(*linuxChild)
		ch.PIDFD, ch.Report = c.descriptors()
		ch.NewLogs, ch.OwedLogs = c.newLogs, c.owed
	}
	for slot, page := range l.board {
		if page != nil {
			st.Pages = append(st.Pages, pageState{slot, page.FD(), page.Threads(), page.Codes()})
		}
	}
	for _, page := range l.foreign {
		st.Pages = append(st.Pages, page)
	}
	return giveBack, nil
}

// describeGenerations is the part of describe for generations. What it makes it
// adds to made.
func (l *linux) describeGenerations(st *state, made *[]sys.FD) error {
	images := map[sys.FD]bool{}
	for i := range st.Generations {
		g := &st.Generations[i]
		files := g.files.(*linuxGeneration)
		g.Image, g.Sockets, g.Program = g.from.FD(), l.table.Index(files.socks), files.program
		if images[g.Image] { // by a roll back; see blueprint
			own, err := g.Image.Dup()
			if err != nil {
				return err
			}
			g.Image, *made = own, append(*made, own)
		}
		images[g.Image] = true
		if g.Program == (sys.FileID{}) {
			g.Program = st.ProgramID
		}
		g.Pipes = map[string][2]sys.FD{}
		for at, p := range files.pipes() {
			g.Pipes[pipeName(at)] = [2]sys.FD{p.r, p.w}
		}
	}
	return nil
}

// descriptors are those of the process that outlive an upgrade. The report is 0
// if it was closed. File.Fd would change it.
func (p linuxProcess) descriptors() (pidfd, report sys.FD) {
	raw, err := p.report.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { report = sys.FD(fd) })
	}
	return p.PIDFD, report
}

// linuxSuccessor is a check of another program, and that program.
type linuxSuccessor struct {
	linuxCandidate
	path    string
	program sys.FD
}

func (s *linuxSuccessor) release() {
	_ = s.program.Close()
	s.linuxCandidate.release()
}

func (l *linux) startSuccessor(path string, st *state) (candidate, error) {
	program, err := sys.OpenProgram(path)
	if err != nil {
		return nil, err
	}
	s, err := l.check(program, st)
	if err != nil {
		_ = program.Close()
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	s.path = path
	return s, nil
}

func (l *linux) check(program sys.FD, st *state) (*linuxSuccessor, error) {
	undo, err := l.describe(st)
	if err != nil {
		return nil, err
	}
	defer undo()
	handed, err := st.seal()
	if err != nil {
		return nil, err
	}
	defer func() { _ = handed.Close() }()
	img, err := image.New()
	if err != nil {
		return nil, err
	}
	env := slices.DeleteFunc(slices.Clone(l.env), func(kv string) bool { return strings.HasPrefix(kv, handshakeEnv+"=") })
	c := sys.Command{
		Args: []string{RoleSuccessor, "for", l.configPath}, Env: append(env, upgradeEnv+"="+strconv.Itoa(takeoverProtocol)),
		DieWithParent: true, Program: program,
	}
	proc, report, err := l.start(c, sys.FD(fdLog), img, sys.None, handed)
	if err != nil {
		_ = img.Close()
		return nil, err
	}
	go l.listenToCandidate(proc.PID, report)
	return &linuxSuccessor{
		linuxCandidate: linuxCandidate{linuxProcess: linuxProcess{proc, report}, image: img}, program: program,
	}, nil
}

// OpenSuccessor takes over what the master of another build handed to this
// process, to check whether this program could take over. What Takeover.Owner
// has is for the caller to check; its descriptors mean nothing here.
func OpenSuccessor(args []string, getenv func(string) string, version string) (*Candidate, *Takeover, error) {
	if len(args) != 3 || args[0] != RoleSuccessor {
		return nil, nil, fmt.Errorf("start successor check: arguments %q are not those of one", args)
	}
	c := &Candidate{ConfigPath: args[2], image: inherit(fdImage), report: inherit(fdCandidateReport)}
	if !c.report.IsPipe() {
		return nil, nil, errors.New("start successor check: this role is started by apphost itself")
	}
	if err := c.report.SetBlock(); err != nil {
		return nil, nil, fmt.Errorf("start successor check: %w", err)
	}
	c.say(sayVersion, version)
	c.Step("read the state that is handed over")
	if got := getenv(upgradeEnv); got != strconv.Itoa(takeoverProtocol) {
		err := protocolError(got)
		c.Fail(err)
		return nil, nil, err
	}
	st, err := readState(inherit(fdSuccessorState))
	if err != nil {
		c.Fail(err)
		return nil, nil, err
	}
	return c, &Takeover{Owner: st.Owner, state: st}, nil
}

// predecessor is the program that handed over, to go back to.
type predecessor struct {
	program sys.FD
	args    []string
}

// settle lets go of the predecessor when it is not needed any longer.
func (l *linux) settle(p *Parent) {
	if l.predecessor != nil && p.upgraded != nil {
		_ = l.predecessor.program.Close()
		l.predecessor = nil
	}
}

// rename gives this process the name of its program again, which it lost when
// that was executed by descriptor.
func rename(args []string) {
	if len(args) > 0 {
		_ = sys.SetName(filepath.Base(args[0]))
	}
}

// system is what the Parent runs on: new, or what another program handed over.
func (m *Master) system() (*linux, adopted, error) {
	t := m.cfg.Upgrade.Takeover
	if t == nil {
		l, err := newLinux(m.cfg, m.events)
		return l, adopted{}, err
	}
	rename(m.cfg.Upgrade.Args)
	l, from, err := takeOverLinux(m.cfg, m.events)
	if err != nil {
		return nil, adopted{}, t.Refuse(err)
	}
	return l, from, nil
}
