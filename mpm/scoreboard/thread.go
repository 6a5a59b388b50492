package scoreboard

import (
	"strings"
	"time"

	"github.com/apphost/apphost/mpm"
)

// Thread is the record of one thread of a child, which serves one connection
// at a time. One goroutine at a time writes to it, the one that serves; anyone
// may read it. Nothing here allocates but Status.
//
// Times are those of CLOCK_MONOTONIC, the same for all processes.
type Thread struct {
	*thread
	slot *Slot

	began    time.Duration // the connection
	requests int           // finished in this connection
	running  string        // the name of what ran last
}

// State is what the thread says it is doing. A number that is no state counts
// as mpm.StateWriting: a child that lies is at least not idle.
func (t *Thread) State() mpm.State { return known(t.state.Load()) }

// SetState says what the thread is doing.
func (t *Thread) SetState(state mpm.State) { t.state.Store(uint32(state)) }

// BeginConn notes that the thread serves a connection from now on.
func (t *Thread) BeginConn(client []byte, listener string, now time.Duration) {
	t.began, t.requests = now, 0
	t.start.Store(uint64(now))
	t.sequence.Add(1)
	s := &t.text
	s.clientLen = uint8(copy(s.client[:], client))
	s.listenerLen = uint8(copy(s.listener[:], listener))
	s.requestLen, s.protocolLen = 0, 0
	t.sequence.Add(1)
}

// BeginRequest notes a request of the connection. What is kept of it is method
// and target with a space between, cut to 64 bytes, and 16 bytes of protocol.
func (t *Thread) BeginRequest(method, target, protocol []byte, now time.Duration) {
	t.start.Store(uint64(now))
	t.sequence.Add(1)
	s := &t.text
	n := copy(s.request[:], method)
	n += copy(s.request[n:], " ")
	n += copy(s.request[n:], target)
	s.requestLen = uint8(n)
	s.protocolLen = uint8(copy(s.protocol[:], protocol))
	t.sequence.Add(1)
}

// EndRequest counts the request that began last, once it is finished, and what
// was sent for it.
func (t *Thread) EndRequest(bytesSent int64, now time.Duration) {
	t.requests++
	t.count.requests.Add(1)
	t.finish(bytesSent, now, time.Duration(t.start.Load()))
}

// EndConn counts the connection, once it is finished. What was sent counts, and
// how long it took, if no request of it did.
func (t *Thread) EndConn(bytesSent int64, now time.Duration) {
	t.count.conns.Add(1)
	if t.requests == 0 {
		t.finish(bytesSent, now, t.began)
	}
}

func (t *Thread) finish(bytesSent int64, now, began time.Duration) {
	t.count.bytes.Add(uint64(max(0, bytesSent)))
	t.count.duration.Add(uint64(max(0, now-began)))
	t.stop.Store(uint64(now))
}

// reset forgets everything of the owner before.
func (t *Thread) reset() {
	t.began, t.requests = 0, 0
	t.count.reset()
	t.start.Store(0)
	t.stop.Store(0)
	t.text = text{}
	t.runs.Store(0)
	t.code.budget.Store(0)
	t.code.nameLen, t.running = 0, ""
	t.sequence.Store(0)
	t.SetState(mpm.StateStarting)
}

// ThreadStatus is what a thread says of itself. None of it can be relied on:
// its owner may have written anything. The strings are valid UTF-8 and no
// longer than they may be; they can hold control characters and markup.
type ThreadStatus struct {
	State mpm.State
	// Totals are those of this owner.
	Totals Totals
	// Start is when the last request began, or the connection if it has had
	// none, and Stop when the last one was finished; 0 is never.
	Start, Stop time.Duration
	// Client is the peer's address, Listener the listener's name, both of the
	// connection at hand or else of the last one. Request is the method and
	// the target, without the protocol's version, which is in Protocol; both
	// are empty where the connection has had no request.
	Client, Listener, Request, Protocol string
	// Code is the name of what runs, or ran last.
	Code string
}

// textTries is how often to read strings that are being written meanwhile. A
// writer takes nanoseconds, unless it died or lies.
const textTries = 8

// Status reads the record.
func (t *Thread) Status() ThreadStatus {
	s := ThreadStatus{
		State: t.State(), Totals: t.count.load(),
		Start: clampTime(t.start.Load()), Stop: clampTime(t.stop.Load()),
	}
	for range textTries {
		before := t.sequence.Load()
		if before%2 != 0 {
			continue
		}
		seen, name, nameLen := t.text, t.code.name, t.code.nameLen
		if t.sequence.Load() == before {
			s.Client = legible(seen.client[:], seen.clientLen)
			s.Listener = legible(seen.listener[:], seen.listenerLen)
			s.Request = legible(seen.request[:], seen.requestLen)
			s.Protocol = legible(seen.protocol[:], seen.protocolLen)
			s.Code = legible(name[:], nameLen)
			break
		}
	}
	return s
}

// legible makes a string of what is said to be n bytes long.
func legible(from []byte, n uint8) string {
	return strings.ToValidUTF8(string(from[:min(int(n), len(from))]), "?")
}

func clampTime(t uint64) time.Duration { return max(0, time.Duration(t)) }

func known(state uint32) mpm.State {
	if s := mpm.State(state); s <= mpm.StateIdleKill {
		return s
	}
	return mpm.StateWriting
}

// Totals are what was served.
type Totals struct {
	// Connections and Requests are those that are finished.
	Connections, Requests uint64
	// BytesSent is what was sent for them.
	BytesSent uint64
	// Duration is how long requests took, and connections without one,
	// together.
	Duration time.Duration
}

func (c *counters) load() Totals {
	return Totals{c.conns.Load(), c.requests.Load(), c.bytes.Load(), clampTime(c.duration.Load())}
}

func (c *counters) reset() {
	c.conns.Store(0)
	c.requests.Store(0)
	c.bytes.Store(0)
	c.duration.Store(0)
}
