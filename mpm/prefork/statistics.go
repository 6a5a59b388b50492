package prefork

import (
	"time"

	"github.com/apphost/apphost/mpm/internal/sys"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// ServerStatus are the figures of a Snapshot about the server as a whole.
type ServerStatus struct {
	// Graceful counts the threads that finish what they serve and leave, and
	// that Idle and Busy do not count.
	Graceful int `json:"graceful"`
	// Totals is what all children, those that are gone too, have served since
	// the master began.
	Totals TotalsStatus `json:"totals"`
	CPU    CPUStatus    `json:"cpu"`
	// Load is how many processes of the machine ran or waited to, on average
	// over the last 1, 5 and 15 minutes.
	Load [3]float64 `json:"load"`
}

// TotalsStatus is what was served. It never falls.
type TotalsStatus struct {
	Connections uint64 `json:"connections"`
	// Requests and BytesSent count once a request is finished. A connection to
	// a tcp listener is one request.
	Requests  uint64 `json:"requests"`
	BytesSent uint64 `json:"bytes_sent"`
	// DurationSeconds is how long all requests took together.
	DurationSeconds float64 `json:"duration_seconds"`
}

// CPUStatus is how long processors have worked for the server: for the master
// and the children that live, and for those that have ended.
type CPUStatus struct {
	UserSeconds        float64 `json:"user_seconds"`
	SystemSeconds      float64 `json:"system_seconds"`
	EndedUserSeconds   float64 `json:"ended_user_seconds"`
	EndedSystemSeconds float64 `json:"ended_system_seconds"`
}

// ChildStatus are the figures of a SlotStatus about what it serves. All but the
// processor time is the child's own word, as far as it is possible.
type ChildStatus struct {
	ChildRequests  uint64  `json:"child_requests"`
	SlotRequests   uint64  `json:"slot_requests"`
	ChildBytesSent uint64  `json:"child_bytes_sent"`
	SlotBytesSent  uint64  `json:"slot_bytes_sent"`
	CPUSeconds     float64 `json:"cpu_seconds"`
	// Workers are the threads that serve a connection or have served one.
	Workers []WorkerStatus `json:"workers"`
}

// WorkerStatus is a thread, which serves one connection at a time. A child of the prefork
// model has one.
type WorkerStatus struct {
	Thread int    `json:"thread"`
	State  string `json:"state"`
	Letter string `json:"letter"`
	// Connections, Requests and BytesSent are those that are finished.
	Connections uint64 `json:"connections"`
	Requests    uint64 `json:"requests"`
	BytesSent   uint64 `json:"bytes_sent"`
	// SinceSeconds is how long ago the last request began, TookSeconds how
	// long it took, 0 while it lasts.
	SinceSeconds float64 `json:"since_seconds"`
	TookSeconds  float64 `json:"took_seconds"`
	// Client, Listener, Request and Protocol are those of the last request or
	// connection. They hold whatever a client has sent, cut to a few bytes.
	Client   string `json:"client"`
	Listener string `json:"listener"`
	Request  string `json:"request"`
	Protocol string `json:"protocol"`
}

// claim takes in what a child says to have served.
func (p *Parent) claim(ch *child, now time.Time) []threadReport {
	reports := p.sys.slotReport(ch.slot)
	var total scoreboard.Totals
	for i := range reports {
		total = sum(total, reports[i].Totals)
	}
	p.ledger.claim(ch.slot, total, len(reports), now.Sub(ch.spawned))
	return reports
}

// account closes the account of a child that is gone.
func (p *Parent) account(ch *child, now time.Time) {
	p.claim(ch, now)
	p.ledger.close(ch.slot)
}

// describe fills in what a child serves.
func (p *Parent) describe(ch *child, s *SlotStatus, now time.Time) {
	s.Workers = []WorkerStatus{}
	for i, r := range p.claim(ch, now) {
		if r.Start == 0 {
			continue
		}
		s.Workers = append(s.Workers, WorkerStatus{
			Thread: i, State: r.State.String(), Letter: string(r.State.Letter()),
			Connections: r.Totals.Connections, Requests: r.Totals.Requests, BytesSent: r.Totals.BytesSent,
			SinceSeconds: r.Since.Seconds(), TookSeconds: r.Took.Seconds(),
			Client: r.Client, Listener: r.Listener, Request: r.Request, Protocol: r.Protocol,
		})
	}
	own, all := p.ledger.of(ch.slot)
	s.ChildConnections, s.SlotConnections = own.Connections, all.Connections
	s.ChildRequests, s.SlotRequests = own.Requests, all.Requests
	s.ChildBytesSent, s.SlotBytesSent = own.BytesSent, all.BytesSent
}

// summarize fills in the figures of the whole server, after those of the slots.
func (p *Parent) summarize(s *Snapshot) {
	total := p.ledger.all()
	s.Totals = TotalsStatus{total.Connections, total.Requests, total.BytesSent, total.Duration.Seconds()}
	s.Load = p.sys.load()
	live, ended := p.sys.cpu()
	for i := range s.Slots {
		cpu := p.sys.processCPU(s.Slots[i].PID)
		s.Slots[i].CPUSeconds = (cpu.User + cpu.System).Seconds()
		live = sys.CPUTime{User: live.User + cpu.User, System: live.System + cpu.System}
	}
	s.CPU = CPUStatus{live.User.Seconds(), live.System.Seconds(), ended.User.Seconds(), ended.System.Seconds()}
}
