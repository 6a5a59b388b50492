package prefork

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// working is what a thread says that has served so many requests.
func working(requests uint64) threadReport {
	return threadReport{
		ThreadStatus: scoreboard.ThreadStatus{
			State: mpm.StateWriting, Totals: scoreboard.Totals{Connections: 1, Requests: requests, BytesSent: 10 * requests, Duration: time.Second},
			Start: time.Hour, Client: "192.0.2.7:4711", Listener: "web", Request: "GET /", Protocol: "HTTP/1.1",
		},
		Since: 2 * time.Second, Took: time.Second,
	}
}

func TestASnapshotShowsWhatIsServed(t *testing.T) {
	w := newWorld(t)
	w.options.MinSpareServers = 3
	w.start()
	w.pass(10 * time.Second)
	w.states[1], w.reports[1] = mpm.StateWriting, working(30)
	s := w.look()
	if s.Model != "prefork" || s.Idle != 2 || s.Busy != 1 || s.Graceful != 0 || s.Load != [3]float64{1, 0.5, 0.25} {
		t.Errorf("the server: %+v", s.ServerStatus)
	}
	if s.Totals != (TotalsStatus{1, 30, 300, 1}) || s.CPU != (CPUStatus{31, 62, 3, 4}) {
		t.Errorf("totals %+v, processor time %+v", s.Totals, s.CPU)
	}
	c := s.Slots[1]
	if c.ChildRequests != 30 || c.SlotRequests != 30 || c.SlotBytesSent != 300 || c.CPUSeconds != 30 || len(c.Workers) != 1 {
		t.Fatalf("the child: %+v", c)
	}
	if th := c.Workers[0]; th.Client != "192.0.2.7:4711" || th.Request != "GET /" || th.Letter != "W" || th.SinceSeconds != 2 || th.TookSeconds != 1 {
		t.Errorf("its thread: %+v", th)
	}
	if len(s.Slots[0].Workers) != 0 {
		t.Errorf("one that has served nothing: %+v", s.Slots[0])
	}

	// Another child of the same slot begins at zero, and the slot does not.
	dead := w.children(1)[1]
	w.exit(dead, exited(0))
	w.settle()
	w.pass(10 * time.Second)
	w.ready(w.children(1)...)
	w.reports[1] = working(5)
	if c := w.look().Slots[1]; c.ChildRequests != 5 || c.SlotRequests != 35 || c.SlotConnections != 2 {
		t.Errorf("the next child of the slot: %+v", c)
	}

	w.ask(Reload)
	w.candidateDone()
	w.ready(w.children(2)...)
	w.drainIdle(1)
	w.states[1] = mpm.StateWriting
	if s := w.look(); s.Graceful != len(w.children(1)) || s.Totals.Requests < 35 {
		t.Errorf("after a reload %d are graceful, %d requests", s.Graceful, s.Totals.Requests)
	}
}

// Whatever is in a slot, a snapshot can be made of it.
func TestASnapshotOfRubbish(t *testing.T) {
	w := newWorld(t)
	w.start()
	r := working(math.MaxUint64)
	r.Totals.Duration, r.State = -1, mpm.State(12345)
	r.Request, r.Client = "\x00\x1b<\u2028>\ufffd", "\xff"
	w.reports[0] = r
	for range 3 {
		s := w.look()
		if _, err := json.Marshal(s); err != nil {
			t.Fatal(err)
		}
		if s.Totals.Requests > 10*countMaxPerSecond || s.Totals.DurationSeconds < 0 {
			t.Errorf("totals %+v", s.Totals)
		}
	}
}

// An upgrade is no new beginning: totals are since the server was started. What
// a child that another build has started says further cannot be read.
func TestTotalsSurviveAnUpgrade(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pass(10 * time.Second)
	w.reports[0], w.reports[1] = working(30), working(5)
	w.kill(1, 1)
	w.settle()
	w.parent.limits.counts[limitNear], w.parent.overruns = 2, 3
	w.upgrade("/new")
	w.candidateDone()
	n := w.next(t, true)
	s := n.look()
	if s.Totals != (TotalsStatus{2, 35, 350, 2}) || s.Limits.Near != 2 || s.Overruns != 3 {
		t.Errorf("totals %+v, limits %+v, %d overruns", s.Totals, s.Limits, s.Overruns)
	}
	if c := s.Slots[0]; c.Slot != 1 || c.SlotRequests != 5 || c.ChildRequests != 5 {
		t.Errorf("a child that was handed over: %+v", c)
	}
}
