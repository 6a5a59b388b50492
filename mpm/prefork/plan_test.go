package prefork

import (
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
)

func TestPlan(t *testing.T) {
	o := &mpm.Options{MinSpareServers: 5, MaxSpareServers: 10, MaxRequestWorkers: 100}
	for _, tc := range []struct {
		name string
		in   census
		want decision
	}{
		{"enough idle children are left alone", census{idle: 7, total: 7, freeSlots: 93, rate: 8}, decision{rate: 1, next: maintenanceInterval}},
		{"exactly the minimum is enough", census{idle: 5, total: 5, freeSlots: 95, rate: 1}, decision{rate: 1, next: maintenanceInterval}},
		{"exactly the maximum is not too many", census{idle: 10, total: 10, freeSlots: 90, rate: 1}, decision{rate: 1, next: maintenanceInterval}},
		{"one too many and one leaves", census{idle: 30, total: 30, freeSlots: 70, rate: 1}, decision{retire: true, rate: 1, next: maintenanceInterval}},
		{"nobody else leaves while one is leaving", census{idle: 30, total: 30, freeSlots: 70, rate: 1, leaving: true}, decision{rate: 1, next: maintenanceInterval}},
		{"a shortage spawns one, and two the next time", census{idle: 4, total: 9, freeSlots: 91, rate: 1}, decision{spawn: 1, rate: 2, next: shortageInterval}},
		{"the amount is not bounded by the shortfall", census{idle: 4, total: 9, freeSlots: 91, rate: 16}, decision{spawn: 16, rate: 32, next: shortageInterval}},
		{"the rate stops at 32", census{idle: 0, total: 9, freeSlots: 91, rate: 32}, decision{spawn: 32, rate: 32, next: shortageInterval}},
		{"max_request_workers bounds the spawn", census{idle: 0, total: 97, freeSlots: 200, rate: 32}, decision{spawn: 3, rate: 32, next: shortageInterval}},
		{"free slots bound the spawn", census{idle: 0, total: 20, freeSlots: 2, rate: 32}, decision{spawn: 2, rate: 32, next: shortageInterval}},
		{"no room is reported", census{idle: 0, total: 100, freeSlots: 50, rate: 4}, decision{full: true, rate: 1, next: maintenanceInterval}},
		{"no slot is reported", census{idle: 0, total: 20, freeSlots: 0, rate: 4}, decision{full: true, rate: 1, next: maintenanceInterval}},
		{"old generations may leave fewer children than the limit allows", census{idle: 0, total: 101, freeSlots: 50, rate: 4}, decision{full: true, rate: 1, next: maintenanceInterval}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := plan(tc.in, o); got != tc.want {
				t.Errorf("plan(%+v) = %+v, want %+v", tc.in, got, tc.want)
			}
		})
	}
}

// From five idle children to a hundred busy ones: the doubling must be there
// within two seconds of maintenance cycles.
func TestABurstIsMetWithinTwoSeconds(t *testing.T) {
	o := &mpm.Options{MinSpareServers: 5, MaxSpareServers: 10, MaxRequestWorkers: 256}
	const clients = 100
	total, rate, elapsed := 5, 1, maintenanceInterval // the burst comes right after a calm cycle
	for total < clients {
		d := plan(census{idle: 0, total: total, freeSlots: 512 - total, rate: rate}, o)
		total, rate = total+d.spawn, d.rate
		elapsed += d.next
	}
	if elapsed > 2*time.Second {
		t.Errorf("%d children after %s, want within 2s", total, elapsed)
	}
}

func TestStartCountFollowsTheLoad(t *testing.T) {
	o := &mpm.Options{StartServers: 5, MinSpareServers: 5, MaxRequestWorkers: 50}
	for _, tc := range []struct{ busy, free, want int }{
		{0, 100, 5}, {20, 100, 25}, {49, 100, 50}, {20, 8, 8}, {0, 2, 2},
	} {
		if got := startCount(o, tc.busy, tc.free); got != tc.want {
			t.Errorf("startCount(busy %d, free %d) = %d, want %d", tc.busy, tc.free, got, tc.want)
		}
	}
}

func TestBackoffIsNoneForTwoThenDoublesToACap(t *testing.T) {
	for failures, want := range map[int]time.Duration{
		0: 0, 2: 0, 3: 100 * time.Millisecond, 4: 200 * time.Millisecond, 9: 6400 * time.Millisecond, 10: 10 * time.Second, 1000: 10 * time.Second,
	} {
		if got := backoff(failures); got != want {
			t.Errorf("backoff(%d) = %s, want %s", failures, got, want)
		}
	}
}
