package prefork

import (
	"time"

	"github.com/apphost/apphost/mpm/scoreboard"
)

// ledger is what the slots have served since the master started. It lasts
// longer than a child, whose own count begins at zero, and than a program that
// gives way to another. A child may lie about
// itself, but what it cannot have done does not count, and no total ever falls.
type ledger struct {
	past    []scoreboard.Totals // of the children that are gone, by slot
	present []scoreboard.Totals // the most that the child at hand has claimed
}

// What no thread of a child can do more of in a second.
const (
	countMaxPerSecond = 1_000_000
	bytesMaxPerSecond = 100_000_000_000
)

// The largest totals. Every program that reads JSON has room for the first.
const (
	totalMax    = 1 << 53
	durationMax = 1 << 61 // 73 years, in nanoseconds
)

// export writes down all accounts that are not empty.
func (l *ledger) export() []servedState {
	var all []servedState
	for slot := range l.past {
		if s := (servedState{slot, totalsState(l.past[slot]), totalsState(l.present[slot])}); s != (servedState{Slot: slot}) {
			all = append(all, s)
		}
	}
	return all
}

// adopt goes on with the accounts of another ledger.
func (l *ledger) adopt(all []servedState) {
	for _, s := range all {
		l.open(s.Slot)
		l.past[s.Slot] = sum(scoreboard.Totals(s.Past), scoreboard.Totals{})
		l.present[s.Slot] = sum(scoreboard.Totals(s.Present), scoreboard.Totals{})
	}
}

// open makes room for a slot's account.
func (l *ledger) open(slot int) {
	for slot >= len(l.past) {
		l.past = append(l.past, scoreboard.Totals{})
		l.present = append(l.present, scoreboard.Totals{})
	}
}

// claim takes in what the child in a slot says that its threads have served in
// all its life so far, which cannot be longer than age.
func (l *ledger) claim(slot int, of scoreboard.Totals, threads int, age time.Duration) {
	l.open(slot)
	// A second more, for what was served before the first one was over.
	seconds := (age.Seconds() + 1) * float64(max(1, threads))
	p := &l.present[slot]
	raise(&p.Connections, of.Connections, uint64(seconds*countMaxPerSecond))
	raise(&p.Requests, of.Requests, uint64(seconds*countMaxPerSecond))
	raise(&p.BytesSent, of.BytesSent, uint64(seconds*bytesMaxPerSecond))
	possible := time.Duration(min(seconds*float64(time.Second), durationMax))
	p.Duration = max(p.Duration, min(of.Duration, possible))
}

// raise sets n to a value that is higher, as far as it is possible.
func raise(n *uint64, claimed, possible uint64) {
	*n = max(*n, min(claimed, possible, totalMax))
}

// close ends the account of the child in a slot.
func (l *ledger) close(slot int) {
	l.past[slot] = sum(l.past[slot], l.present[slot])
	l.present[slot] = scoreboard.Totals{}
}

// of are the totals of the child in a slot and of the slot.
func (l *ledger) of(slot int) (child, all scoreboard.Totals) {
	return l.present[slot], sum(l.past[slot], l.present[slot])
}

// all are the totals of all slots.
func (l *ledger) all() scoreboard.Totals {
	var total scoreboard.Totals
	for slot := range l.past {
		_, of := l.of(slot)
		total = sum(total, of)
	}
	return total
}

func sum(a, b scoreboard.Totals) scoreboard.Totals {
	return scoreboard.Totals{
		Connections: min(a.Connections+b.Connections, totalMax),
		Requests:    min(a.Requests+b.Requests, totalMax),
		BytesSent:   min(a.BytesSent+b.BytesSent, totalMax),
		Duration:    min(a.Duration+b.Duration, durationMax),
	}
}
