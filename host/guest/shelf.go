package guest

import (
	"slices"
	"sync"
	"time"
)

// shelf has the instances that wait for their next run. Of those that a burst
// has left, or Warm has made, it keeps as many as were needed at a time lately, and
// one at least. It looks at them when one comes back, and, as long as more than one
// is idle, by a timer: so an idle process is woken a few times, and then no more. Its
// methods may be called concurrently.
type shelf struct {
	mu   sync.Mutex
	idle []*Instance // the last one is the next to be used
	out  int         // instances in use

	most, before int       // in use at a time, since the last turn and before it
	turn         time.Time // the next one

	timer  *time.Timer // of the next look; nil is none
	closed bool
}

// shelfTurn is how often it is looked whether all are needed.
const shelfTurn = 10 * time.Second

// take returns an instance, or nil if there is none: then one is made. Either
// way it counts as in use until put or lost.
func (s *shelf) take() *Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out++
	s.most = max(s.most, s.out)
	n := len(s.idle)
	if n == 0 {
		return nil
	}
	i := s.idle[n-1]
	s.idle = s.idle[:n-1]
	return i
}

// put takes an instance back, or notes that it is lost if it is nil. It closes
// those that were not needed for a while.
func (s *shelf) put(i *Instance) {
	s.mu.Lock()
	s.out--
	if i != nil {
		i.output.session = nil // it may hold a request's body
		s.idle = append(s.idle, i)
	}
	surplus := s.surplus(time.Now())
	s.arm()
	s.mu.Unlock()
	for _, i := range surplus {
		closeInstance(i)
	}
}

// arm sees to it that what is idle is looked at again, if that is more than stays in
// any case.
func (s *shelf) arm() {
	if s.timer == nil && len(s.idle) > 1 && !s.closed {
		s.timer = time.AfterFunc(shelfTurn, s.look)
	}
}

// look closes those that were not needed for a while, though none comes back.
func (s *shelf) look() {
	s.mu.Lock()
	defer s.mu.Unlock() // for as long as they are closed: clear waits for that
	s.timer = nil
	for _, i := range s.surplus(time.Now()) {
		closeInstance(i)
	}
	s.arm()
}

// surplus takes those away that are not needed, once in a turn.
func (s *shelf) surplus(now time.Time) []*Instance {
	if now.Before(s.turn) {
		return nil
	}
	s.most, s.before, s.turn = s.out, s.most, now.Add(shelfTurn)
	n := min(s.out+len(s.idle)-max(s.before, 1), len(s.idle))
	if n <= 0 {
		return nil
	}
	old := slices.Clone(s.idle[:n])
	s.idle = slices.Delete(s.idle, 0, n)
	return old
}

// clear closes all of them.
func (s *shelf) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	for _, i := range s.idle {
		closeInstance(i)
	}
	s.idle = nil
}
