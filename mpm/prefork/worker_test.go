package prefork

import (
	"slices"
	"testing"

	"github.com/apphost/apphost/mpm"
)

func crewOptions() *mpm.Options {
	return &mpm.Options{
		Model: mpm.Worker, ThreadsPerChild: 10, StartServers: 3,
		MinSpareThreads: 20, MaxSpareThreads: 40, MaxRequestWorkers: 100,
	}
}

func TestPlanCountsThreads(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   census
		want decision
	}{
		{"enough idle threads are left alone", census{idle: 20, total: 9, freeSlots: 9, rate: 8}, decision{rate: 1, next: maintenanceInterval}},
		{"exactly the maximum is not too many", census{idle: 40, total: 4, freeSlots: 9, rate: 1}, decision{rate: 1, next: maintenanceInterval}},
		{"one thread too many and a child leaves", census{idle: 41, total: 5, freeSlots: 9, rate: 1}, decision{retire: true, rate: 1, next: maintenanceInterval}},
		{"nobody else leaves while one is leaving", census{idle: 41, total: 5, freeSlots: 9, rate: 1, leaving: true}, decision{rate: 1, next: maintenanceInterval}},
		{"a shortage of a thread spawns a child", census{idle: 19, total: 5, freeSlots: 9, rate: 1}, decision{spawn: 1, rate: 2, next: shortageInterval}},
		{"max_request_workers bounds the children", census{idle: 0, total: 8, freeSlots: 20, rate: 8}, decision{spawn: 2, rate: 16, next: shortageInterval}},
		{"no room is reported", census{idle: 0, total: 10, freeSlots: 20, rate: 8}, decision{full: true, rate: 1, next: maintenanceInterval}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := plan(tc.in, crewOptions()); got != tc.want {
				t.Errorf("plan(%+v) = %+v, want %+v", tc.in, got, tc.want)
			}
		})
	}
}

func TestStartCountOfWorkersFollowsTheLoad(t *testing.T) {
	for _, tc := range []struct{ busy, free, want int }{
		{0, 20, 3}, {10, 20, 3}, {11, 20, 4}, {75, 20, 10}, {100, 20, 10}, {75, 2, 2},
	} {
		if got := startCount(crewOptions(), tc.busy, tc.free); got != tc.want {
			t.Errorf("startCount(busy %d, free %d) = %d, want %d", tc.busy, tc.free, got, tc.want)
		}
	}
}

// A new child of ten threads makes up for ten: the shortage of each bucket is
// met, and the one in most need comes first.
func TestBucketsOfWorkersShareWhatThereIs(t *testing.T) {
	o := crewOptions()
	o.Buckets = 2
	share := o.Share()
	if share.SpareMin() != 10 || share.SpareMax() != 20 {
		t.Errorf("each bucket keeps %d to %d threads idle, want 10 to 20", share.SpareMin(), share.SpareMax())
	}
	all, _ := planAll([]census{
		{idle: 9, own: 4, total: 8, freeSlots: 9, rate: 4}, {idle: 0, own: 4, total: 8, freeSlots: 9, rate: 4},
	}, 9, o)
	if !slices.Equal(all.spawn, []int{1, 0}) {
		t.Errorf("the two children there is room for go to buckets %v, want 1 and 0", all.spawn)
	}
}

// startCrew brings a generation of three children with ten threads each into
// service.
func (w *world) startCrew() {
	o := crewOptions()
	o.ServerLimit, o.StartTimeout, o.CandidateTimeout, o.KillTimeout =
		15, w.options.StartTimeout, w.options.CandidateTimeout, w.options.KillTimeout
	w.options = *o
	for slot := range 3 {
		w.threads[slot] = [2]int{10, 0}
	}
	w.start()
}

func TestTheCensusCountsThreads(t *testing.T) {
	w := newWorld(t)
	w.startCrew()
	w.threads[0], w.threads[1] = [2]int{0, 10}, [2]int{3, 7}
	got := w.parent.census(w.parent.serving, w.now)[0]
	if got.idle != 13 || got.total != 3 || w.parent.busy(w.parent.serving) != 17 {
		t.Errorf("census %+v, busy %d; want 13 idle threads of 3 children, 17 busy", got, w.parent.busy(w.parent.serving))
	}
	w.pass(maintenanceInterval)
	children := w.children(1)
	if len(children) != 4 {
		t.Fatalf("%d children with 13 of 20 threads idle, want one more than 3", len(children))
	}
	// All ten threads of one that is starting count as idle.
	if got := w.parent.census(w.parent.serving, w.now)[0]; got.idle != 23 {
		t.Errorf("census with one that is starting: %+v, want 23 idle", got)
	}
	w.threads[3] = [2]int{10, 0}
	w.ready(children[3])
	w.threads[0], w.threads[1] = [2]int{10, 0}, [2]int{10, 0}
	w.threads[2] = [2]int{10, 0}
	if w.pass(2 * maintenanceInterval); w.files[0].retiredOne != 0 {
		t.Error("a child is retired with 40 threads idle, which is the maximum")
	}
}

// A child that finishes a long connection keeps no place from one that serves.
func TestAChildThatLeavesDoesNotCount(t *testing.T) {
	w := newWorld(t)
	w.startCrew()
	w.parent.serving.options.MaxRequestWorkers = 30
	for slot := range 3 {
		w.states[slot], w.threads[slot] = mpm.StateGraceful, [2]int{0, 1}
	}
	w.pass(2 * maintenanceInterval)
	if n := len(w.children(1)); n < 5 {
		t.Errorf("%d children while three of them are leaving, want at least 2 more", n)
	}
	for slot := range 3 {
		w.states[slot], w.threads[slot] = mpm.StateWriting, [2]int{0, 10}
	}
	before := len(w.children(1))
	if w.pass(2 * maintenanceInterval); len(w.children(1)) != before {
		t.Errorf("%d children became %d, with three of 30 threads busy", before, len(w.children(1)))
	}
}

func TestASnapshotShowsEachThread(t *testing.T) {
	w := newWorld(t)
	w.startCrew()
	w.threads[0] = [2]int{8, 1}
	s := w.look()
	if s.Idle != 28 || s.Busy != 1 || s.Model != "worker" {
		t.Errorf("model %s, %d idle, %d busy; want worker, 28, 1", s.Model, s.Idle, s.Busy)
	}
}

func TestThreadsAreShownByTheirLetters(t *testing.T) {
	for _, tc := range []struct {
		child mpm.State
		own   []mpm.State
		want  string
	}{
		{mpm.StateReady, []mpm.State{mpm.StateReady, mpm.StateWriting, mpm.StateKeepalive}, "_WK"},
		{mpm.StateStarting, []mpm.State{mpm.StateReady, mpm.StateReady}, "SS"},
		{mpm.StateGraceful, []mpm.State{mpm.StateReady, mpm.StateWriting}, ".G"},
		{mpm.StateGraceful, []mpm.State{mpm.StateWriting}, "G"},
		{mpm.StateClosing, []mpm.State{mpm.StateDead}, "C"},
	} {
		if got := lettersOf(tc.child, tc.own); got != tc.want {
			t.Errorf("%v with %v is shown as %q, want %q", tc.child, tc.own, got, tc.want)
		}
	}
}
