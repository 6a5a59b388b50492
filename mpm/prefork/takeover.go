package prefork

// An upgrade in place: the running master executes another build of the
// program, in the same process, so that pid, listeners, children and whoever
// supervises the server stay what they are. It goes like this.
//
//  1. The master opens the new binary and starts it as a successor check
//     (successor.go): a process that says whether it could take over. It
//     reads what would be handed to it, and tries out configuration and
//     plugins as any candidate does. If it says no, ends or hangs, nothing has
//     happened.
//  2. No child is spawned any more, and when none is starting, the master
//     writes down its state, which is below, and executes the new binary
//     (handover.go). Children go on serving; nobody is told anything.
//  3. The new program takes the state over (adopt.go). Its children are ones
//     that another build has started: it watches, retires and ends them, and
//     spawns none for their generation, whose image it may not understand.
//     It then reloads. When the new generation serves, the upgrade is done,
//     and the old generation is retired as by any reload.
//  4. If that reload fails, it executes the old binary again, which it was
//     handed, and that one goes on as if nothing had happened.
//
// What no check can promise is that the new program does not crash before it
// serves. That would be the end of the master, with what that means for its
// children: they finish what they serve, and leave. One that hangs instead
// leaves them to serve without a master.
//
// # The contract between two builds
//
// This is all that two builds must agree on. Everything else may differ: the
// handshake with children, the layouts of image and scoreboard, the settings.
// A child of another build is told to leave by the end of its pipes, and of new
// log files through its socket; nothing is written to its pod.
// It has a version, takeoverProtocol; a build that knows only others refuses,
// in the check, where refusing costs nothing. Fields may be added without a
// new version if a build that does not know them can do without them.
//
// The check gets the arguments RoleSuccessor, "for" and the path of the
// configuration; the environment with upgradeEnv set to the version; and the
// descriptors 0 and 1, the null device; 2, the log; 3, an empty memfd it may
// use; 4, the write end of its report; 5, a sealed memfd with the state, whose
// descriptors mean nothing there; 6, its own binary. It writes lines to its
// report, as a candidate does: "step TEXT", "timeout DURATION", "error TEXT",
// "warning TEXT", "note TEXT", "version TEXT" and, if it can take over, "done".
//
// The new program gets its own path and the arguments of the server,
// takeoverEnv in its environment, the standard descriptors, and those that the
// state names. The signals INT, QUIT, USR1, USR2, TERM, CHLD and WINCH are
// blocked, so that they wait until the program asks for them, and HUP is
// ignored. A program in Go cannot be kept from unblocking INT, QUIT and TERM as
// it starts: in the few milliseconds until it listens they end the master, as a
// kill would, and its children finish what they serve. Who asks for a reload
// then gets the one that the upgrade is.
// Going back is the same the other way round, with the reasons in the state;
// or, by a program that cannot make sense of the state, with a reason as the
// last field of takeoverEnv.

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/image"
	"github.com/apphost/apphost/mpm/internal/sys"
	"github.com/apphost/apphost/mpm/listen"
	"github.com/apphost/apphost/mpm/logs"
)

// takeoverProtocol is the version of the contract above.
const takeoverProtocol = 1

// RoleSuccessor is the first argument of a successor check.
const RoleSuccessor = "apphost: successor"

const (
	// upgradeEnv tells a successor check the version of the contract.
	upgradeEnv = "APPHOST_UPGRADE"
	// takeoverEnv tells a program that it takes over: "PID PROTOCOL STATE
	// PROGRAM", or with a reason after that; the process it is meant for, the
	// version of the contract, and the descriptors of the state and of the
	// program that hands over.
	takeoverEnv = "APPHOST_TAKEOVER"
)

// Bounds of a state, of which a server needs little.
const (
	stateBytesMax = 64 << 20
	slotsMax      = 1 << 20
	fdMax         = 1 << 24
)

// state is what one program hands to the next. Times are those of the
// system's monotonic clock, 0 for never, unless they are a time.Time.
type state struct {
	Protocol int    `json:"protocol"`
	Version  string `json:"version"` // of the program that hands over
	// Program is the binary of who hands over, and how it was called.
	Program   sys.FD     `json:"program"`
	ProgramID sys.FileID `json:"program_id"`
	Args      []string   `json:"args"`
	// Failed says why the state comes back; it is empty on the way there.
	Failed []string `json:"failed,omitempty"`

	Started    time.Time     `json:"started"`
	Upgraded   *time.Time    `json:"upgraded,omitempty"`
	LastReload *ReloadStatus `json:"last_reload,omitempty"`
	// Queued is a reload that was asked for by a signal: "", "reload" or
	// "restart".
	Queued string `json:"queued,omitempty"`

	// IgnoresHangups says that SIGHUP means nothing, as under nohup(1).
	IgnoresHangups bool `json:"ignores_hangups,omitempty"`

	Slots       int               `json:"slots"`
	Number      uint64            `json:"number"`      // of the youngest generation
	Generations []generationState `json:"generations"` // oldest first, the serving one last
	Children    []childState      `json:"children"`
	Pages       []pageState       `json:"pages"`
	Sockets     listen.Handed     `json:"sockets"`
	PIDFile     pidFileState      `json:"pid_file"`
	Logs        *logs.Handed      `json:"logs,omitempty"`
	Lifeline    [2]sys.FD         `json:"lifeline"` // read end, write end

	// Served is what was served in each slot, Limits what the server ran into,
	// and Overruns how many children were killed for code without end.
	Served   []slotTotals `json:"served,omitempty"`
	Limits   LimitStatus  `json:"limits,omitzero"`
	Overruns uint64       `json:"overruns,omitempty"`

	// Owner is what the program around the master hands over.
	Owner json.RawMessage `json:"owner,omitempty"`
	// OwnerFDs are the descriptors in it.
	OwnerFDs []sys.FD `json:"owner_fds,omitempty"`
}

// generationState describes a generation.
type generationState struct {
	Number uint64 `json:"number"`
	// Program is the binary that made it, and whose children it has.
	Program  sys.FileID    `json:"program"`
	Retired  bool          `json:"retired"`
	Deadline time.Duration `json:"deadline"`
	Options  mpm.Options   `json:"options"`
	Notes    []string      `json:"notes,omitempty"`
	Image    sys.FD        `json:"image"`
	// Pipes are read and write end of each, by name; 0 is a closed one.
	Pipes   map[string][2]sys.FD `json:"pipes"`
	Buckets int                  `json:"buckets"`
	// Codes is what is known of the codes in Options.
	Codes   []CodeStatus `json:"codes,omitempty"`
	Sockets []int        `json:"sockets"` // places in state.Sockets

	files generationFiles // of who exports
	from  *image.Image
}

// childState describes a child.
type childState struct {
	PID        int           `json:"pid"`
	PIDFD      sys.FD        `json:"pidfd"`
	Report     sys.FD        `json:"report"` // read end
	Slot       int           `json:"slot"`
	Bucket     int           `json:"bucket,omitempty"`
	Generation uint64        `json:"generation"`
	Ready      bool          `json:"ready"`
	Ending     bool          `json:"ending"`
	Spawned    time.Duration `json:"spawned"`
	StartBy    time.Duration `json:"start_by"`
	KillAt     time.Duration `json:"kill_at"`
	NewLogs    sys.FD        `json:"new_logs"` // our end of its socket
	OwedLogs   int           `json:"owed_logs,omitempty"`

	proc process // of who exports
}

// pidFileState is the pid file, which is locked; FD is 0 if there is none.
type pidFileState struct {
	Path string `json:"path,omitempty"`
	FD   sys.FD `json:"fd,omitempty"`
}

// pageState is a slot of the scoreboard.
type pageState struct {
	Slot    int    `json:"slot"`
	FD      sys.FD `json:"fd"`
	Threads int    `json:"threads"`
	Codes   int    `json:"codes,omitempty"`
}

// decodeState reads a state, of which it believes nothing.
func decodeState(raw []byte) (*state, error) {
	var head struct {
		Protocol int `json:"protocol"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, fmt.Errorf("decode state: %w", err)
	}
	if head.Protocol != takeoverProtocol {
		return nil, protocolError(strconv.Itoa(head.Protocol))
	}
	st := new(state)
	if err := json.Unmarshal(raw, st); err != nil {
		return nil, fmt.Errorf("decode state: %w", err)
	}
	if err := st.check(); err != nil {
		return nil, fmt.Errorf("check state: %w", err)
	}
	return st, nil
}

func protocolError(theirs string) error {
	return fmt.Errorf("the running server hands over by version %q of the upgrade protocol, and this program takes over by version %d; stop the server and start this program instead", theirs, takeoverProtocol)
}

// check finds what would make a state nonsense.
func (st *state) check() error {
	if st.Slots < 1 || st.Slots > slotsMax {
		return fmt.Errorf("it has %d slots", st.Slots)
	}
	if err := st.checkGenerations(); err != nil {
		return err
	}
	slots, pids := map[int]bool{}, map[int]bool{}
	for _, ch := range st.Children {
		known := slices.ContainsFunc(st.Generations, func(g generationState) bool {
			return g.Number == ch.Generation && ch.Bucket >= 0 && ch.Bucket < g.Buckets
		})
		if ch.Slot < 0 || ch.Slot >= st.Slots || slots[ch.Slot] || ch.PID <= 1 || pids[ch.PID] || !known {
			return fmt.Errorf("child %d of slot %d and generation %d cannot be", ch.PID, ch.Slot, ch.Generation)
		}
		slots[ch.Slot], pids[ch.PID] = true, true
	}
	pages := map[int]bool{}
	for _, p := range st.Pages {
		if p.Slot < 0 || p.Slot >= st.Slots || pages[p.Slot] {
			return fmt.Errorf("page of slot %d cannot be", p.Slot)
		}
		pages[p.Slot] = true
	}
	for _, s := range st.Served {
		if s.Slot < 0 || s.Slot >= st.Slots {
			return fmt.Errorf("totals of slot %d cannot be", s.Slot)
		}
	}
	for slot := range slots {
		if !pages[slot] {
			return fmt.Errorf("slot %d has a child and no page", slot)
		}
	}
	seen := map[sys.FD]bool{}
	for _, fd := range st.descriptors() {
		if fd <= fdLog || fd > fdMax || seen[fd] {
			return fmt.Errorf("descriptor %d is one that cannot be, or there twice", fd)
		}
		seen[fd] = true
	}
	return nil
}

func (st *state) checkGenerations() error {
	for i, g := range st.Generations {
		last := i == len(st.Generations)-1
		switch {
		case g.Number == 0 || g.Number > st.Number:
			return fmt.Errorf("generation %d cannot be", g.Number)
		case slices.ContainsFunc(st.Generations[:i], func(other generationState) bool { return other.Number == g.Number }):
			return fmt.Errorf("generation %d is there twice", g.Number)
		case g.Retired == last:
			return errors.New("the last generation serves, and no other")
		case !g.Retired && len(g.Sockets) != len(g.Options.Listeners):
			return fmt.Errorf("generation %d has %d listeners and %d sockets", g.Number, len(g.Options.Listeners), len(g.Sockets))
		}
		for _, at := range g.Sockets {
			if at < 0 || at >= len(st.Sockets.Sockets) {
				return fmt.Errorf("there is no socket %d", at)
			}
		}
		if g.Buckets < 1 || g.Buckets > st.Slots {
			return fmt.Errorf("generation %d has %d buckets", g.Number, g.Buckets)
		}
		for at := range fixedPipes + g.Buckets {
			if _, ok := g.Pipes[pipeName(at)]; !ok {
				return fmt.Errorf("generation %d has no pipe %s", g.Number, pipeName(at))
			}
		}
	}
	if len(st.Generations) == 0 {
		return errors.New("no generation serves")
	}
	return nil
}

// descriptors are all that a state names.
func (st *state) descriptors() []sys.FD {
	fds := append([]sys.FD{st.Program, st.Lifeline[0], st.Lifeline[1], st.PIDFile.FD}, st.OwnerFDs...)
	for _, g := range st.Generations {
		fds = append(fds, g.Image)
		for _, p := range g.Pipes {
			fds = append(fds, p[:]...)
		}
	}
	for _, ch := range st.Children {
		fds = append(fds, ch.PIDFD, ch.Report, ch.NewLogs)
	}
	for _, p := range st.Pages {
		fds = append(fds, p.FD)
	}
	fds = append(fds, st.Sockets.Descriptors()...)
	if st.Logs != nil {
		fds = append(fds, st.Logs.Descriptors()...)
	}
	return slices.DeleteFunc(fds, func(fd sys.FD) bool { return fd == 0 }) // closed ends
}
