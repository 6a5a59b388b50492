package prefork

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
)

func TestPlanAll(t *testing.T) {
	o := &mpm.Options{Buckets: 3, MinSpareServers: 6, MaxSpareServers: 12, MaxRequestWorkers: 100} // 2 to 4 idle each
	// of makes a census of three buckets from the idle and all children of each.
	of := func(free, rate int, pairs ...[2]int) []census {
		var cs []census
		total := 0
		for _, p := range pairs {
			total += p[1]
		}
		for _, p := range pairs {
			cs = append(cs, census{idle: p[0], own: p[1], total: total, freeSlots: free, rate: rate})
		}
		return cs
	}
	leaving := of(90, 1, [2]int{9, 9}, [2]int{5, 5}, [2]int{3, 3})
	leaving[0].leaving = true
	for _, tc := range []struct {
		name string
		in   []census
		most int
		want deal
	}{
		{
			"enough in each is left alone", of(90, 8, [2]int{2, 2}, [2]int{4, 9}, [2]int{3, 3}), 50,
			deal{retire: -1, next: maintenanceInterval},
		},
		{
			"a bucket whose children are all busy gets one while others idle", of(90, 1, [2]int{4, 4}, [2]int{0, 7}, [2]int{4, 4}), 50,
			deal{spawn: []int{1}, retire: -1, next: shortageInterval},
		},
		{
			"each that is short grows at its own rate", of(90, 4, [2]int{1, 9}, [2]int{0, 9}, [2]int{4, 9}), 50,
			deal{spawn: []int{1, 0, 1, 0, 1, 0, 1, 0}, retire: -1, next: shortageInterval},
		},
		{
			"what room there is goes to the neediest first", of(3, 32, [2]int{1, 9}, [2]int{0, 9}, [2]int{1, 8}), 50,
			deal{spawn: []int{1, 2, 0}, retire: -1, next: shortageInterval},
		},
		{
			"one without children comes before one with busy ones", of(1, 32, [2]int{0, 9}, [2]int{0, 3}, [2]int{0, 0}), 50,
			deal{spawn: []int{2}, retire: -1, next: shortageInterval},
		},
		{
			"the last child of max_request_workers, too", of(50, 32, [2]int{0, 60}, [2]int{0, 39}, [2]int{0, 0}), 50,
			deal{spawn: []int{2}, retire: -1, next: shortageInterval},
		},
		{
			"no more than the caller wants", of(90, 32, [2]int{0, 9}, [2]int{0, 3}, [2]int{0, 1}), 1,
			deal{spawn: []int{2}, retire: -1, next: shortageInterval},
		},
		{
			"one leaves where most are idle", of(90, 1, [2]int{5, 9}, [2]int{9, 9}, [2]int{8, 20}), 50,
			deal{retire: 1, next: maintenanceInterval},
		},
		{
			"elsewhere while one is leaving there", leaving, 50,
			deal{retire: 1, next: maintenanceInterval},
		},
		{
			"one leaves while another bucket grows", of(90, 1, [2]int{5, 9}, [2]int{0, 9}, [2]int{3, 9}), 50,
			deal{spawn: []int{1}, retire: 0, next: shortageInterval},
		},
		{
			"no room is reported", of(0, 1, [2]int{3, 9}, [2]int{0, 9}, [2]int{3, 9}), 50,
			deal{retire: -1, next: maintenanceInterval, full: true},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, each := planAll(tc.in, tc.most, o)
			if !slices.Equal(got.spawn, tc.want.spawn) || got.retire != tc.want.retire || got.next != tc.want.next || got.full != tc.want.full {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			if len(each) != len(tc.in) {
				t.Errorf("%d decisions for %d buckets", len(each), len(tc.in))
			}
		})
	}
}

// buckets counts a generation's live children in each bucket.
func (w *world) buckets(gen uint64, n int) []int {
	counts := make([]int, n)
	for _, p := range w.children(gen) {
		counts[p.bucket]++
	}
	return counts
}

func TestTheFirstChildrenAreDealtOutOverTheBuckets(t *testing.T) {
	w := newWorld(t)
	w.options.Buckets, w.options.StartServers = 3, 5
	w.start()
	if got := w.buckets(1, 3); !slices.Equal(got, []int{2, 2, 1}) {
		t.Errorf("the children are in the buckets like this: %v", got)
	}
	w = newWorld(t)
	w.options.Buckets, w.options.StartServers = 4, 1
	w.start()
	if got := w.buckets(1, 4); !slices.Equal(got, []int{1, 1, 1, 1}) {
		t.Errorf("start_servers is less than there are buckets: %v", got)
	}
}

// The child that comes for a dead one belongs to the same bucket, by the
// master's own note.
func TestADeadChildIsMadeUpForInItsBucket(t *testing.T) {
	w := newWorld(t)
	w.options.Buckets, w.options.StartServers = 3, 3
	w.start()
	for bucket := range 3 {
		for _, p := range w.children(1) {
			if p.bucket == bucket {
				w.exit(p, syscall.WaitStatus(syscall.SIGSEGV))
			}
		}
		w.pass(20 * time.Second) // past a pause for children that die young
		w.ready(w.children(1)...)
		if got := w.buckets(1, 3); slices.Min(got) == 0 {
			t.Errorf("after the only child of bucket %d died: %v", bucket, got)
		}
	}
}

// Idle children of one bucket are none to the clients of another.
func TestABusyBucketGrowsWhileOthersIdle(t *testing.T) {
	w := newWorld(t)
	w.options.Buckets, w.options.StartServers = 2, 4
	w.options.MinSpareServers, w.options.MaxSpareServers = 2, 6
	w.start()
	for _, p := range w.children(1) {
		if p.bucket == 1 {
			w.states[p.slot] = mpm.StateReading
		}
	}
	w.pass(2 * time.Second)
	if got := w.buckets(1, 2); got[0] != 2 || got[1] < 3 {
		t.Errorf("the children of bucket 1 are busy, and there are %v", got)
	}
	if s := w.look(); s.Buckets != 2 || s.Slots[1].Bucket != 1 {
		t.Errorf("the status says %+v", s)
	}
}

// One idle child too many leaves by its bucket's pod, where most idle.
func TestAChildIsRetiredWhereMostAreIdle(t *testing.T) {
	w := newWorld(t)
	w.options.Buckets, w.options.StartServers, w.options.MinSpareServers, w.options.MaxSpareServers = 2, 8, 2, 4
	w.start()
	for _, p := range w.children(1) {
		if p.bucket == 0 && p.slot > 0 {
			w.states[p.slot] = mpm.StateReading
		}
	}
	w.pass(time.Second)
	// At the start both had as many, and the first bucket was first.
	if got := w.files[0].retiredIn; !slices.Equal(got, []int{0, 1}) {
		t.Errorf("asked to leave, by bucket: %v", got)
	}
}

// A reload to more buckets than there are free slots changes nothing.
func TestAReloadNeedsASlotForEachBucket(t *testing.T) {
	w := newWorld(t)
	w.options.StartServers = 8
	w.start()
	w.options.Buckets = 5
	reply := w.ask(Reload)
	w.candidateDone()
	r, ok := answered(reply)
	if !ok || len(r.Errors) != 1 || !strings.Contains(r.Errors[0], "listen_cores_buckets_ratio") || r.Generation != 1 {
		t.Errorf("with 4 slots free, 5 buckets: %+v, answered %v", r, ok)
	}
}

// Sockets that are too many are looked after all the time, not only at a reload.
func TestSocketsTooManyAreSweptNowAndThen(t *testing.T) {
	w := newWorld(t)
	w.start()
	before := w.files[0].swept
	w.pass(10 * time.Second)
	if n := w.files[0].swept - before; n < 45 || n > 55 { // as often as maintenance runs
		t.Errorf("swept %d times in 10 s", n)
	}
}
