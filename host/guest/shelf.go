package guest

import (
	"slices"
	"sync"
	"time"
)

// shelf has the instances that wait for their next run. Of those that a burst
// has left, it keeps as many as were needed at a time lately, and one at least.
// Its methods may be called concurrently.
type shelf struct {
	mu   sync.Mutex
	idle []*Instance // the last one is the next to be used
	out  int         // instances in use

	most, before int       // in use at a time, since the last turn and before it
	turn         time.Time // the next one
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
	s.mu.Unlock()
	for _, i := range surplus {
		closeInstance(i)
	}
}

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
	for _, i := range s.idle {
		closeInstance(i)
	}
	s.idle = nil
}
