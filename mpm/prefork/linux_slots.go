package prefork

import (
	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// prepareSlot makes a slot ready for a child with so many threads.
func (l *linux) prepareSlot(slot, threads int) error {
	old := l.board[slot]
	if old == nil || old.Threads() != threads {
		s, err := scoreboard.New(slot, threads)
		if err != nil {
			return err
		}
		if old != nil {
			s.Inherit(old)
			_ = old.Close()
		}
		l.board[slot] = s
	}
	l.board[slot].Reset()
	return nil
}

func (l *linux) slotState(slot int) mpm.State { return l.board[slot].State() }

func (l *linux) slotThreads(slot int) (ready, busy int) { return l.board[slot].Count() }

func (l *linux) slotLetters(slot int) []mpm.State {
	states := make([]mpm.State, l.board[slot].Threads())
	for i := range states {
		states[i] = l.board[slot].Thread(i).State()
	}
	return states
}

func (l *linux) slotConns(slot int) (child, total uint64) { return l.board[slot].Conns() }
