package prefork

import (
	"slices"
	"strings"
	"time"

	"github.com/apphost/apphost/mpm"
)

// Snapshot is the master's view of itself and its children at one moment. Its
// JSON form is what 'apphost status --json' prints: fields may be added, those
// that are there keep their name and meaning.
type Snapshot struct {
	// PID is the master's.
	PID int `json:"pid"`
	// State is "starting", "serving", "reloading", "upgrading", "stopping
	// gracefully" or "stopping".
	State string `json:"state"`
	// Started is when the master began, UptimeSeconds how long ago that was.
	Started       time.Time `json:"started"`
	UptimeSeconds float64   `json:"uptime_seconds"`
	// Model is that of the serving generation: "prefork" or "worker".
	Model string `json:"model"`
	// Upgraded is when this binary took over from another one, nil if this is
	// the one that the server was started with.
	Upgraded *time.Time `json:"upgraded"`
	// Generations has those that have children or are about to have them,
	// oldest first.
	Generations []GenerationStatus `json:"generations"`
	// Listeners are those of the serving generation.
	Listeners []ListenerStatus `json:"listeners"`
	// Buckets is how many the serving generation has; the children of each
	// have sockets of their own.
	Buckets int `json:"buckets"`
	// Idle and Busy count the threads of the serving generation that wait for
	// a connection, and that serve one. In the prefork model a child has one.
	Idle int `json:"idle"`
	Busy int `json:"busy"`
	// Scoreboard has a letter for each thread of each slot, see SlotStatus, and
	// a dot for one without a child, up to the most children that the serving
	// generation may have or the last child.
	Scoreboard string `json:"scoreboard"`
	// Slots are those with a child.
	Slots []SlotStatus `json:"slots"`
	// Spawning is how it goes with new children.
	Spawning SpawnStatus `json:"spawning"`
	// Limits are the limits that the server ran into.
	Limits LimitStatus `json:"limits"`
	// Overruns is how many children were killed because a plugin ran without
	// end.
	Overruns uint64 `json:"overruns"`
	// Codes are the plugins of the serving generation.
	Codes []CodeStatus `json:"plugins"`
	// LastReload is how the last one ended, nil before the first.
	LastReload *ReloadStatus `json:"last_reload"`

	ServerStatus
}

// GenerationStatus describes a generation.
type GenerationStatus struct {
	Number uint64 `json:"number"`
	// State is "proving" (its children are not all ready yet), "serving",
	// "draining" (serving what is in the accept queues, before a graceful
	// stop) or "retired" (finishing what it serves).
	State    string `json:"state"`
	Children int    `json:"children"`
}

// ListenerStatus describes a listening socket.
type ListenerStatus struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

// SlotStatus describes a child. Pid, generation, bucket and age are what the master
// knows, state and connections the child's own word.
type SlotStatus struct {
	Slot       int    `json:"slot"`
	Bucket     int    `json:"bucket"`
	PID        int    `json:"pid"`
	Generation uint64 `json:"generation"`
	// State is mpm.State's name, Letter its letter: _ ready, S starting, R
	// reading, W writing, K keepalive, L logging, C closing, G retired and
	// finishing what it serves, I about to leave.
	State  string `json:"state"`
	Letter string `json:"letter"`
	// Threads has the letter of each of its threads.
	Threads string `json:"threads"`
	// ChildConnections is how many connections this child has served,
	// SlotConnections how many all children of the slot have.
	ChildConnections uint64  `json:"child_connections"`
	SlotConnections  uint64  `json:"slot_connections"`
	AgeSeconds       float64 `json:"age_seconds"`

	ChildStatus
}

// SpawnStatus tells whether children live.
type SpawnStatus struct {
	// Failures is how many children in a row died young, or could not be
	// started; 0 is the rule.
	Failures int `json:"failures"`
	// PausedSeconds is how long no child is started because of that.
	PausedSeconds float64 `json:"paused_seconds"`
	// Full says that every child is busy and no more may be started.
	Full bool `json:"full"`
	// Slowed says that children keep dying young, or cannot be started, and
	// are spawned more and more slowly until one lives.
	Slowed bool `json:"slowed"`
}

// LimitStatus counts shortages of children since the master began: how often
// no more could be started when some were needed.
type LimitStatus struct {
	// Near is with fewer than min_spare_servers idle, Reached with none idle,
	// and max_request_workers children.
	Near    uint64 `json:"near"`
	Reached uint64 `json:"reached"`
	// SlotsFull is with fewer than max_request_workers children, because those
	// of older generations have the rest of server_limit.
	SlotsFull uint64 `json:"slots_full"`
}

// ReloadStatus is the end of a reload, or of going back after one.
type ReloadStatus struct {
	Time time.Time `json:"time"`
	// Generation is the one that served afterwards.
	Generation uint64 `json:"generation"`
	// Errors say why it failed; none means it was done.
	Errors []string `json:"errors"`
	// RolledBackFrom says that it was undone later: that generation did not prove
	// itself, and Generation runs what RolledBackTo ran. 0 is none.
	RolledBackFrom uint64 `json:"rolled_back_from"`
	RolledBackTo   uint64 `json:"rolled_back_to"`
}

// snapshot looks at everything, and takes in what children say to have served.
func (p *Parent) snapshot(now time.Time) Snapshot {
	s := Snapshot{
		PID: p.cfg.PID, Overruns: p.overruns, State: p.phase(), Started: p.started, UptimeSeconds: now.Sub(p.started).Seconds(),
		Generations: []GenerationStatus{}, Listeners: []ListenerStatus{}, Slots: []SlotStatus{}, Codes: []CodeStatus{},
		Limits: p.limits.status(), LastReload: p.lastReload, Upgraded: p.upgradedAt,
	}
	for _, g := range p.retired {
		s.Generations = append(s.Generations, GenerationStatus{g.number, "retired", g.children})
	}
	shown := 0
	if g := p.serving; g != nil {
		state := "serving"
		if p.winding != nil {
			state = "draining"
		}
		s.Generations = append(s.Generations, GenerationStatus{g.number, state, g.children})
		for _, l := range g.files.sockets() {
			s.Listeners = append(s.Listeners, ListenerStatus{l.Name, l.Address.String()})
		}
		s.Buckets = len(g.pools)
		s.Spawning = g.spawning(now)
		shown = g.options.ChildrenMax()
		p.countAll(now)
		s.Codes = g.codeStatus()
		s.Model = g.options.Model.String()
	}
	if r := p.reload; r != nil && r.next != nil {
		s.Generations = append(s.Generations, GenerationStatus{r.next.number, "proving", r.next.children})
	}
	// A stop and a failed proof retire without an order among them.
	slices.SortFunc(s.Generations, func(a, b GenerationStatus) int { return int(int64(a.Number - b.Number)) })
	p.snapshotSlots(&s, shown, now)
	p.summarize(&s)
	return s
}

// snapshotSlots adds the children and the scoreboard, which has at least shown
// slots.
func (p *Parent) snapshotSlots(s *Snapshot, shown int, now time.Time) {
	empty := "."
	if p.serving != nil {
		empty = strings.Repeat(".", p.serving.options.Threads())
	}
	letters := make([]string, len(p.slots))
	for slot, ch := range p.slots {
		letters[slot] = empty
		if ch == nil || ch.reaped {
			continue
		}
		state := p.stateOf(ch)
		letters[slot] = lettersOf(state, p.sys.slotLetters(slot))
		status := SlotStatus{
			Slot: slot, Bucket: ch.bucket, PID: ch.proc.pid(), Generation: ch.generation.number,
			State: state.String(), Letter: string(state.Letter()), Threads: letters[slot],
			AgeSeconds: now.Sub(ch.spawned).Seconds(),
		}
		p.describe(ch, &status, now)
		s.Slots = append(s.Slots, status)
		s.Graceful += strings.Count(letters[slot], string(mpm.StateGraceful.Letter()))
		if ch.generation == p.serving && state != mpm.StateStarting {
			ready, busy := p.sys.slotThreads(slot)
			s.Idle += ready
			s.Busy += busy
		}
		shown = max(shown, slot+1)
	}
	s.Scoreboard = strings.Join(letters[:min(shown, len(letters))], "")
}

// lettersOf are those of a child's threads. A child of one thread is what the
// master says it is; of a larger one that is retired only those threads are
// left that serve.
func lettersOf(child mpm.State, own []mpm.State) string {
	letters := make([]byte, len(own))
	for i, state := range own {
		switch {
		case len(own) == 1, child == mpm.StateStarting:
			state = child
		case child != mpm.StateGraceful:
		case state.Busy():
			state = mpm.StateGraceful
		default:
			state = mpm.StateDead
		}
		letters[i] = state.Letter()
	}
	return string(letters)
}

// stateOf is what a child does. That it starts, or that its generation is
// over, the master knows better than the child.
func (p *Parent) stateOf(ch *child) mpm.State {
	switch state := p.sys.slotState(ch.slot); {
	case !ch.ready && !state.Busy():
		return mpm.StateStarting
	case ch.generation.retired:
		return mpm.StateGraceful
	case state == mpm.StateDead:
		return mpm.StateClosing // it says so, and lives
	default:
		return state
	}
}

func (p *Parent) phase() string {
	switch {
	case p.stopping:
		return "stopping"
	case p.winding != nil:
		return "stopping gracefully"
	case p.serving == nil:
		return "starting"
	case p.upgrading():
		return "upgrading"
	case p.reload != nil:
		return "reloading"
	}
	return "serving"
}

// recordReload keeps the end of a reload for snapshot.
func (p *Parent) recordReload(r *reload, faults []string, now time.Time) {
	last := &ReloadStatus{Time: now, Generation: p.serving.number, Errors: []string{}}
	if r.back != nil {
		last.Errors = append(last.Errors, r.back.String())
		if len(faults) == 0 {
			last.RolledBackFrom, last.RolledBackTo = r.back.From, r.back.To
		}
	}
	last.Errors = append(last.Errors, faults...)
	p.lastReload = last
}
