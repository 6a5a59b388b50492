package prefork

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
	"github.com/apphost/apphost/mpm/listen"
	"github.com/apphost/apphost/mpm/logs"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// sampleState is a state with something of everything.
func sampleState() *state {
	pipes := func(from sys.FD) map[string][2]sys.FD {
		m := map[string][2]sys.FD{}
		for i := range fixedPipes + 1 {
			m[pipeName(i)] = [2]sys.FD{from + sys.FD(2*i), from + sys.FD(2*i) + 1}
		}
		return m
	}
	when := time.Unix(1000, 5).UTC()
	st := &state{
		Protocol: takeoverProtocol, Version: "1.2.3", Program: 3, ProgramID: sys.FileID{Dev: 1, Inode: 2},
		Args: []string{"/apphost", "-c", "x"}, Failed: []string{"why"}, Started: when, Upgraded: &when,
		LastReload: &ReloadStatus{Time: when, Generation: 2, Errors: []string{"e"}}, Queued: "restart", IgnoresHangups: true,
		Slots: 4, Number: 3, Lifeline: [2]sys.FD{4, 5},
		Generations: []generationState{
			{Number: 1, Retired: true, Deadline: time.Minute, Image: 10, Buckets: 1, Pipes: pipes(20), Sockets: []int{}},
			{
				Number: 3, Program: sys.FileID{Dev: 1, Inode: 9}, Notes: []string{"n"}, Image: 11, Buckets: 1, Pipes: pipes(30), Sockets: []int{0},
				Codes:   []CodeStatus{{Name: "bad", Failures: 3, Quarantined: &when}},
				Options: mpm.Options{Listeners: []mpm.Listener{{Name: "a", Address: "127.0.0.1:1"}}, KillTimeout: time.Second},
			},
		},
		Children: []childState{
			{PID: 100, PIDFD: 50, Report: 51, Slot: 0, Generation: 1, Ready: true, Ending: true, Spawned: 1, KillAt: 7, NewLogs: 54, OwedLogs: 1},
			{PID: 101, PIDFD: 52, Report: 53, Slot: 2, Generation: 3, StartBy: 9, NewLogs: 55},
		},
		Pages:   []pageState{{0, 60, 1, 0}, {2, 61, 2, 3}, {3, 62, 1, 0}},
		PIDFile: pidFileState{"/p", 71},
		Sockets: listen.Handed{Sockets: []listen.HandedSocket{{FD: 70, Name: "a", Key: "k", Passed: true, PassedName: "p"}}},
		Served:  []slotTotals{{1, scoreboard.Totals{Connections: 1}, scoreboard.Totals{Duration: 2}}}, Limits: LimitStatus{Near: 3},
		Logs:  &logs.Handed{Standard: 81, Files: []logs.HandedFile{{Path: "/log", FD: 82}}},
		Owner: json.RawMessage(`{"x":1}`), OwnerFDs: []sys.FD{80},
	}
	st.Generations[0].Pipes["generation"] = [2]sys.FD{20, 0} // closed
	return st
}

// encodeState is a state as it travels, with descriptors if it has none.
func encodeState(t *testing.T, st *state) []byte {
	t.Helper()
	if st.Program == 0 { // exported by a Parent alone
		sample := sampleState()
		fd := sys.FD(100)
		for i := range st.Generations {
			st.Generations[i].Pipes, st.Generations[i].Sockets = map[string][2]sys.FD{}, []int{}
			for at := range fixedPipes + st.Generations[i].Buckets {
				st.Generations[i].Pipes[pipeName(at)] = [2]sys.FD{fd, fd + 1}
				fd += 2
			}
			st.Generations[i].Image = fd
			fd++
		}
		for i := range st.Children {
			st.Children[i].PIDFD, st.Children[i].Report = fd, fd+1
			st.Pages = append(st.Pages, pageState{st.Children[i].Slot, fd + 2, 1, 0})
			fd += 3
		}
		st.Program, st.Lifeline = sample.Program, sample.Lifeline
	}
	raw, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestAStateSurvivesItsJourney(t *testing.T) {
	want := sampleState()
	fd, err := want.seal()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = fd.Close() }()
	got, err := readState(fd)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if _, err := openState(fd); err == nil || !strings.Contains(err.Error(), "is not open") {
		t.Errorf("descriptors that are not there: %v", err)
	}
}

// A later build may add fields.
func TestAStateMayHaveUnknownFields(t *testing.T) {
	raw := strings.Replace(string(encodeState(t, sampleState())), `{"protocol":1`, `{"later":{"x":[1]},"protocol":1`, 1)
	if _, err := decodeState([]byte(raw)); err != nil {
		t.Error(err)
	}
}

func TestAStateThatCannotBeIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*state){
		"another protocol":            func(st *state) { st.Protocol++ },
		"no slots":                    func(st *state) { st.Slots = 0 },
		"too many slots":              func(st *state) { st.Slots = slotsMax + 1 },
		"no generation":               func(st *state) { st.Generations, st.Children = nil, nil },
		"no serving generation":       func(st *state) { st.Generations[1].Retired = true },
		"two serving generations":     func(st *state) { st.Generations[0].Retired = false },
		"a generation from beyond":    func(st *state) { st.Generations[1].Number = 4 },
		"generation 0":                func(st *state) { st.Generations[0].Number = 0 },
		"a generation twice":          func(st *state) { st.Generations[0].Number = 3 },
		"a missing pipe":              func(st *state) { delete(st.Generations[1].Pipes, "pod 0") },
		"a missing socket":            func(st *state) { st.Generations[1].Sockets = nil },
		"a socket from nowhere":       func(st *state) { st.Generations[1].Sockets[0] = 1 },
		"a negative socket":           func(st *state) { st.Generations[1].Sockets[0] = -1 },
		"a child in no slot":          func(st *state) { st.Children[0].Slot = 4 },
		"a child in a negative slot":  func(st *state) { st.Children[0].Slot = -1 },
		"two children in a slot":      func(st *state) { st.Children[0].Slot = 2 },
		"a child of no generation":    func(st *state) { st.Children[0].Generation = 2 },
		"a child twice":               func(st *state) { st.Children[0].PID = 101 },
		"no buckets":                  func(st *state) { st.Generations[1].Buckets = 0 },
		"a missing pod":               func(st *state) { st.Generations[1].Buckets = 2 },
		"a child of no bucket":        func(st *state) { st.Children[0].Bucket = 1 },
		"everybody as a child":        func(st *state) { st.Children[0].PID = -1 },
		"init as a child":             func(st *state) { st.Children[0].PID = 1 },
		"a child without a page":      func(st *state) { st.Pages = st.Pages[1:] },
		"a page of no slot":           func(st *state) { st.Pages[2].Slot = 4 },
		"two pages of a slot":         func(st *state) { st.Pages[2].Slot = 2 },
		"totals of no slot":           func(st *state) { st.Served[0].Slot = 4 },
		"a descriptor twice":          func(st *state) { st.Children[0].PIDFD = 10 },
		"the log as something else":   func(st *state) { st.Children[0].Report = 2 },
		"a descriptor below all":      func(st *state) { st.Program = -1 },
		"a descriptor beyond numbers": func(st *state) { st.OwnerFDs[0] = fdMax + 1 },
	} {
		st := sampleState()
		spoil(st)
		raw, err := json.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeState(raw); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzDecodeState(f *testing.F) {
	raw, err := json.Marshal(sampleState())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"protocol":1}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		st, err := decodeState(raw)
		if err != nil {
			return
		}
		again, err := json.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeState(again); err != nil {
			t.Errorf("%v, from\n%s\nto\n%s", err, raw, again)
		}
	})
}

// The variable that tells of a takeover counts for one process only.
func TestATakeoverIsForOneProcess(t *testing.T) {
	for _, value := range []string{"", "x", "1 2", fmt.Sprintf("%d 1 90 91", os.Getpid()+1)} {
		if got, err := TakeOver([]string{takeoverEnv + "=" + value}, os.Getpid()); got != nil || err != nil {
			t.Errorf("%q: %+v, %v", value, got, err)
		}
	}
	if got, err := TakeOver([]string{"HOME=/"}, os.Getpid()); got != nil || err != nil {
		t.Errorf("without it: %+v, %v", got, err)
	}
	// What comes back and cannot be read has nobody to go to.
	value := fmt.Sprintf("%d 1 99998 99999 it failed", os.Getpid())
	if _, err := TakeOver([]string{takeoverEnv + "=" + value}, os.Getpid()); err == nil {
		t.Error("a state that is not there was taken over")
	}
}

// Each pipe that a generation has is handed over.
func TestEachPipeHasAName(t *testing.T) {
	g := &linuxGeneration{pods: make([]pipe, 2)}
	if pipes := g.pipes(); len(pipes) != fixedPipes+2 || pipes[fixedPipes] != &g.pods[0] {
		t.Errorf("a generation with 2 pods has %d pipes, %d of them others", len(pipes), fixedPipes)
	}
}
