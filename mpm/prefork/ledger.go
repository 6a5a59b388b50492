package prefork

import (
	"time"

	"github.com/apphost/apphost/mpm/scoreboard"
)

// ledger is what the slots have served since the master started. It lasts
// longer than a child, whose own count begins at zero. A child may lie about
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

// claim takes in what the child in a slot says that its threads have served in
// all its life so far, which cannot be longer than age.
func (l *ledger) claim(slot int, of scoreboard.Totals, threads int, age time.Duration) {
	l.grow(slot)
	seconds := possibleSeconds(threads, age)
	p := &l.present[slot]
	raise(&p.Connections, of.Connections, possibleCount(threads, age))
	raise(&p.Requests, of.Requests, possibleCount(threads, age))
	raise(&p.BytesSent, of.BytesSent, uint64(seconds*bytesMaxPerSecond))
	possible := time.Duration(min(seconds*float64(time.Second), durationMax))
	p.Duration = max(p.Duration, min(of.Duration, possible))
}

// possibleSeconds is how long the threads of a child of that age can have worked
// together: with a second more, for what they did before the first one was over.
func possibleSeconds(threads int, age time.Duration) float64 {
	return (age.Seconds() + 1) * float64(max(1, threads))
}

// possibleCount is the most that they can have done of anything.
func possibleCount(threads int, age time.Duration) uint64 {
	return uint64(possibleSeconds(threads, age) * countMaxPerSecond)
}

func (l *ledger) grow(slot int) {
	for slot >= len(l.past) {
		l.past = append(l.past, scoreboard.Totals{})
		l.present = append(l.present, scoreboard.Totals{})
	}
}

// slotTotals are those of a slot, as they travel to another program.
type slotTotals struct {
	Slot    int               `json:"slot"`
	Past    scoreboard.Totals `json:"past"`
	Present scoreboard.Totals `json:"present"`
}

func (l *ledger) export() []slotTotals {
	var list []slotTotals
	for slot := range l.past {
		list = append(list, slotTotals{slot, l.past[slot], l.present[slot]})
	}
	return list
}

// adopt takes over what export has returned, no more than can be.
func (l *ledger) adopt(list []slotTotals) {
	none := scoreboard.Totals{}
	for _, s := range list {
		s.Past.Duration, s.Present.Duration = max(0, s.Past.Duration), max(0, s.Present.Duration)
		l.grow(s.Slot)
		l.past[s.Slot], l.present[s.Slot] = sum(s.Past, none), sum(s.Present, none)
	}
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
