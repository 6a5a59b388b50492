package prefork

import (
	"fmt"
	"os"
	"sync/atomic"

	"github.com/apphost/apphost/mpm/image"
	"github.com/apphost/apphost/mpm/internal/sys"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// fixedPipes is how many pipes a generation has beside a pod for each bucket.
const fixedPipes = 3

// pipeName is what the pipe at a place in linuxGeneration.pipes is called.
func pipeName(at int) string {
	if at < fixedPipes {
		return [fixedPipes]string{"generation", "gate", "hurry"}[at]
	}
	return fmt.Sprint("pod ", at-fixedPipes)
}

// takeOverLinux makes a system of what another program handed over. It changes
// nothing that the other would miss, should it fail.
func takeOverLinux(cfg Config, events chan<- event) (*linux, adopted, error) {
	t := cfg.Upgrade.Takeover
	st := t.state
	if err := sys.KeepFromChildren(); err != nil {
		return nil, adopted{}, err
	}
	own, err := sys.OpenProgram(sys.Self)
	if err != nil {
		return nil, adopted{}, err
	}
	id, err := own.ID()
	_ = own.Close()
	if err != nil {
		return nil, adopted{}, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, adopted{}, fmt.Errorf("open null device: %w", err)
	}
	env := environment(cfg.Environment)
	files, err := adoptLogFiles(cfg, st.Logs)
	if err != nil {
		return nil, adopted{}, err
	}
	l := &linux{
		logFiles: files, pid: adoptPIDFile(st.PIDFile, cfg.PID),
		configPath: cfg.ConfigPath, env: env, childEnv: withProcessors(env, 1), crewEnv: crewEnvironment(env), events: events, log: cfg.Logger,
		null: null, lifelineR: st.Lifeline[0], lifelineW: st.Lifeline[1], cfg: cfg, encode: cfg.Publish, foreign: map[int]pageState{},
	}
	if err := l.table.Import(st.Sockets); err != nil {
		return nil, adopted{}, err
	}
	a := adopted{generations: map[uint64]adoptedGeneration{}, children: map[int]process{}}
	for i := range st.Generations {
		if a.generations[st.Generations[i].Number], err = l.adoptGeneration(&st.Generations[i], id); err != nil {
			return nil, adopted{}, err
		}
	}
	l.logFiles.table.Tidy()
	l.adoptPages(st)
	for _, ch := range st.Children {
		proc := linuxProcess{sys.AdoptedProcess(ch.PID, ch.PIDFD), os.NewFile(uintptr(ch.Report), "report")}
		g := a.generations[ch.Generation].files.(*linuxGeneration)
		c := l.logFiles.follow(proc, g.logs, ch.NewLogs)
		c.owed = ch.OwedLogs
		if g.program == id {
			c.also = g.ofMaster()
			c.passLogs()
		}
		a.children[ch.Slot] = c
		l.bells[ch.Slot] = new(atomic.Bool)
		go l.listenToChild(ch.PID, proc.report, l.bells[ch.Slot])
	}
	_ = t.handed.Close()
	l.predecessor = &predecessor{program: st.Program, args: st.Args}
	return l, a, nil
}

// adoptGeneration makes a generation's descriptors of what was handed over;
// own is this program's binary.
func (l *linux) adoptGeneration(st *generationState, own sys.FileID) (a adoptedGeneration, err error) {
	g := &linuxGeneration{
		system: l, options: &st.Options, listeners: st.Options.Listeners, program: st.Program, pods: make([]pipe, st.Buckets), opened: true,
		env: confinedEnv(l.envOf(&st.Options), &st.Options.Privileges), bornAs: bornAs(&st.Options.Privileges),
	}
	if st.Options.Status {
		if err := l.needBulletin(&st.Options); err != nil {
			return a, err
		}
	}
	if g.logs, err = l.logFiles.acquire(&st.Options); err != nil {
		return a, err
	}
	if !st.Retired {
		if err := l.logFiles.use(g.logs[0]); err != nil {
			return a, err
		}
	}
	if g.flags, err = newFlags(&st.Options); err != nil {
		return a, err
	}
	g.flags.Set(len(st.Options.Codes), st.Retired)
	for i, p := range g.pipes() {
		ends := st.Pipes[pipeName(i)]
		for _, end := range ends {
			if end != 0 && !end.IsPipe() {
				return a, fmt.Errorf("take over generation %d: descriptor %d is not a pipe", st.Number, end)
			}
		}
		p.r, p.w = ends[0], ends[1]
	}
	if g.socks, err = l.table.Retain(st.Sockets); err != nil {
		return a, err
	}
	a.files, a.foreign = g, st.Program != own
	a.image, err = image.Open(st.Image)
	if err != nil && !a.foreign && !st.Retired {
		return a, err
	}
	if err != nil {
		a.image = image.Hold(st.Image) // nobody will be spawned from it
	}
	g.image = a.image
	return a, nil
}

// adoptPages maps the pages of the scoreboard. One that another build laid out
// in another way is kept for who may want it back, while it is in use.
func (l *linux) adoptPages(st *state) {
	l.board, l.bells = make([]*scoreboard.Slot, st.Slots), make([]*atomic.Bool, st.Slots)
	used := map[int]bool{}
	for _, ch := range st.Children {
		used[ch.Slot] = true
	}
	for _, page := range st.Pages {
		s, err := scoreboard.Attach(page.FD, page.Threads, page.Codes)
		switch {
		case err == nil:
			l.board[page.Slot] = s
		case used[page.Slot]:
			l.foreign[page.Slot] = page
		default:
			_ = page.FD.Close()
		}
	}
}

// unreadable reports whether a slot has no page that this program can read.
func (l *linux) unreadable(slot int) bool { return l.board[slot] == nil }

// dropForeign lets go of the page of another build, whose child is gone.
func (l *linux) dropForeign(slot int) {
	if page, found := l.foreign[slot]; found {
		_ = page.FD.Close()
		delete(l.foreign, slot)
	}
}
