package prefork

import (
	"container/heap"
	"errors"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm/internal/sys"
)

const (
	// parkAfter is for how long a connection idles before it is parked, twice that
	// at most: the main goroutine looks that often who idled when it looked last, so
	// that a request costs no look at the clock.
	parkAfter = time.Second
	// parkBatch is how many connections are parked, woken or closed at a time. Others
	// wait for the processor meanwhile.
	parkBatch = 256
	// parkPause is what is between two batches of connections to park.
	parkPause = parkAfter / 20

	// shedMin is how many more connections than after the last time are parked for
	// their memory to be given back to the system, 5 MB or so. It takes two
	// collections, so shedPause is between two times at least.
	shedMin   = 256
	shedPause = 5 * time.Second
)

// parking is the connections of a crew whose next request is late. They have their
// thread, their socket, and neither goroutine nor buffers. The main goroutine waits
// for them, by a set of their own within the child's: however many have something
// to read at once, listeners and pipes get their turn.
//
// The sockets stay in the Go runtime's poller. Leaving it, and entering it again,
// would take more than its note of something that nobody waits for.
type parking struct {
	epoll  *sys.Epoll
	events []sys.Event
	after  time.Duration // parkAfter; shorter in tests

	// Of the main goroutine.
	look     time.Time // when to look who idles; zero: nobody may be parked
	low      int       // how many were parked when memory was given back, or fewer since
	owing    time.Time // since when there is memory to give back; zero: there is none
	shed     time.Time // when some was, last
	shedding sync.WaitGroup

	// Guarded by the crew's mu.
	conns map[sys.FD]*threadConn
	due   byDeadline // those that have one
}

func newParking() (parking, error) {
	epoll, err := sys.NewEpoll(parkBatch)
	return parking{epoll: epoll, after: parkAfter, conns: make(map[sys.FD]*threadConn)}, err
}

// close is called when none is parked, and none will be.
func (p *parking) close() {
	p.shedding.Wait()
	_ = p.epoll.Close()
}

// park has the main goroutine wait for c, whose handler has returned. It reports
// false if the child is to leave, or the kernel cannot watch any more.
func (w *crew) park(c *threadConn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hurried.Load() || w.parking.epoll.Add(c.fd, false) != nil {
		return false
	}
	w.conns[c.number] = nil
	w.parking.conns[c.fd] = c
	if c.place = -1; !c.readDeadline.IsZero() {
		heap.Push(&w.parking.due, c)
	}
	return true
}

// unpark undoes that.
func (w *crew) unpark(c *threadConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.parking.conns, c.fd)
	if c.place >= 0 {
		heap.Remove(&w.parking.due, c.place)
	}
	_ = w.parking.epoll.Remove(c.fd)
	w.conns[c.number] = c
}

// revive goes on with the parked connections to which something has happened.
func (w *crew) revive() error {
	var err error
	p := &w.parking
	if p.events, err = p.epoll.Wait(p.events[:0], 0); err != nil {
		return err
	}
	for _, ev := range p.events {
		w.mu.Lock()
		c := p.conns[ev.FD]
		w.mu.Unlock()
		w.goOn(c)
	}
	return nil
}

// reviveAll ends the parked connections, as the child is to leave. Those whose next
// request is there are served.
func (w *crew) reviveAll() {
	w.mu.Lock()
	all := make([]*threadConn, 0, len(w.parking.conns))
	for _, c := range w.parking.conns {
		all = append(all, c)
	}
	w.mu.Unlock()
	for _, c := range all {
		w.goOn(c)
	}
}

// goOn serves a parked connection if its next request has begun to come, and ends it
// if none will.
func (w *crew) goOn(c *threadConn) {
	n, err := c.fd.Peek()
	nothing := errors.Is(err, syscall.EAGAIN)
	if nothing && !w.hurried.Load() {
		return
	}
	w.unpark(c)
	if n > 0 {
		c.parks = false
		w.launch(c)
		return
	}
	c.ended = err == nil
	c.broken.Store(err != nil && !nothing)
	w.dismiss(c)
}

// nextTend is how long to wait at most before tend has something to do; negative
// means without end. A child whose connections are all parked sleeps.
func (w *crew) nextTend(now time.Time) time.Duration {
	if w.hurried.Load() {
		return -1
	}
	p := &w.parking
	w.mu.Lock()
	defer w.mu.Unlock()
	at := make([]time.Time, 0, 3)
	if !p.look.IsZero() {
		at = append(at, p.look)
	}
	if len(p.due) > 0 {
		at = append(at, p.due[0].readDeadline)
	}
	if !p.owing.IsZero() {
		at = append(at, p.shedAt())
	}
	soonest := time.Duration(-1)
	for _, t := range at {
		if until := max(0, t.Sub(now)); soonest < 0 || until < soonest {
			soonest = until
		}
	}
	return soonest
}

// tend closes the parked connections whose deadline has passed, as its handler would,
// has those parked that idle for long, and gives back the memory that they had.
func (w *crew) tend(now time.Time) {
	if w.hurried.Load() {
		return
	}
	p := &w.parking
	for range parkBatch {
		c := w.expired(now)
		if c == nil {
			break
		}
		w.unpark(c)
		w.dismiss(c)
	}
	if !p.look.IsZero() && !now.Before(p.look) {
		p.look = w.restIdle(now)
	}
	w.mu.Lock()
	parked := len(p.conns)
	w.mu.Unlock()
	p.shedMemory(parked, now)
}

// expired is a parked connection whose deadline has passed, or nil.
func (w *crew) expired(now time.Time) *threadConn {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.parking.due) == 0 || now.Before(w.parking.due[0].readDeadline) {
		return nil
	}
	return w.parking.due[0]
}

// restIdle interrupts the reads of connections that idle for long, a batch at most,
// and returns when to do so again; zero is never, with the connections that there are.
func (w *crew) restIdle(now time.Time) (again time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	batch := 0
	for _, c := range w.conns {
		if c == nil {
			continue
		}
		rested, mayRest := c.rest(now, w.parking.after)
		if rested {
			if batch++; batch == parkBatch {
				return now.Add(parkPause)
			}
		}
		if mayRest {
			again = now.Add(w.parking.after)
		}
	}
	return again
}

// shedAt is when memory is given back: when those that idle together are parked
// together.
func (p *parking) shedAt() time.Time {
	at := p.owing.Add(p.after)
	if pause := p.shed.Add(shedPause); pause.After(at) {
		return pause
	}
	return at
}

// shedMemory gives back to the system what the connections had that were parked
// since the last time.
func (p *parking) shedMemory(parked int, now time.Time) {
	p.low = min(p.low, parked)
	switch {
	case parked-p.low < shedMin:
		p.owing = time.Time{}
	case p.owing.IsZero():
		p.owing = now
	case !now.Before(p.shedAt()):
		p.low, p.shed, p.owing = parked, now, time.Time{}
		p.shedding.Go(func() {
			runtime.GC() // what is in pools outlives one collection
			debug.FreeOSMemory()
		})
	}
}

// byDeadline is a heap of parked connections, which have their place in it.
type byDeadline []*threadConn

func (d byDeadline) Len() int           { return len(d) }
func (d byDeadline) Less(i, j int) bool { return d[i].readDeadline.Before(d[j].readDeadline) }
func (d byDeadline) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i, j
}

// Push implements heap.Interface.
func (d *byDeadline) Push(c any) {
	conn := c.(*threadConn)
	conn.place = len(*d)
	*d = append(*d, conn)
}

// Pop implements heap.Interface.
func (d *byDeadline) Pop() any {
	last := len(*d) - 1
	c := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return c
}

// parkedSet is the set of a crew's parked connections, within the child's.
func (c *Child) parkedSet() sys.FD {
	if crew := c.crew.Load(); crew != nil {
		return crew.parking.epoll.FD()
	}
	return sys.None
}
