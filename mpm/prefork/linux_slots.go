package prefork

import (
	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// prepareSlot makes a slot ready for a child with so many threads and codes.
func (l *linux) prepareSlot(slot, threads, codes int) error {
	old := l.board[slot]
	if old == nil || old.Threads() != threads || old.Codes() != codes {
		s, err := scoreboard.New(slot, threads, codes)
		if err != nil {
			return err
		}
		if old != nil {
			_ = old.Close()
		}
		l.board[slot] = s
		l.dropForeign(slot)
	}
	l.board[slot].Reset()
	return nil
}

// A page that this program cannot read, since another build has laid it out,
// is that of a child of which nothing is known: it counts as busy.

func (l *linux) slotState(slot int) mpm.State {
	if l.unreadable(slot) {
		return mpm.StateWriting
	}
	return l.board[slot].State()
}

func (l *linux) slotThreads(slot int) (ready, busy int) {
	if l.unreadable(slot) {
		return 0, 1
	}
	return l.board[slot].Count()
}

func (l *linux) slotLetters(slot int) []mpm.State {
	if l.unreadable(slot) {
		return []mpm.State{mpm.StateWriting}
	}
	states := make([]mpm.State, l.board[slot].Threads())
	for i := range states {
		states[i] = l.board[slot].Thread(i).State()
	}
	return states
}

func (l *linux) slotServed(slot int) uint64 {
	if l.unreadable(slot) {
		return 0
	}
	return l.board[slot].Served()
}

func (l *linux) slotFailures(slot int) uint32 {
	if l.unreadable(slot) {
		return 0
	}
	return l.board[slot].Failures()
}

func (l *linux) slotFailuresOf(slot, code int) uint64 {
	if l.unreadable(slot) || code >= l.board[slot].Codes() {
		return 0
	}
	return l.board[slot].FailuresOf(code)
}

func (l *linux) awaitRun(slot int) {
	if !l.unreadable(slot) {
		l.bells[slot].Store(true)
		l.board[slot].AwaitRun()
	}
}

func (l *linux) slotRuns(slot int) []scoreboard.Running {
	if l.unreadable(slot) {
		return nil
	}
	runs := make([]scoreboard.Running, l.board[slot].Threads())
	for i := range runs {
		runs[i] = l.board[slot].Thread(i).Running()
	}
	return runs
}
