package prefork

import (
	"math"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm/scoreboard"
)

func TestTotalsOutliveTheirChild(t *testing.T) {
	var l ledger
	first := scoreboard.Totals{Connections: 2, Requests: 10, BytesSent: 100, Duration: time.Second}
	l.claim(3, first, 1, time.Minute)
	l.close(3)
	second := scoreboard.Totals{Connections: 1, Requests: 1, BytesSent: 7, Duration: time.Millisecond}
	l.claim(3, second, 1, time.Minute)
	l.claim(0, second, 1, time.Minute)
	child, slot := l.of(3)
	if child != second || slot != sum(first, second) {
		t.Errorf("child %+v, slot %+v", child, slot)
	}
	if got, want := l.all(), sum(first, sum(second, second)); got != want {
		t.Errorf("all: %+v, want %+v", got, want)
	}
}

// Whatever a child writes, totals do not fall and do not rise by more than it
// can have done.
func TestALyingChildCannotSpoilTheTotals(t *testing.T) {
	var l ledger
	honest := scoreboard.Totals{Connections: 5, Requests: 50, BytesSent: 500, Duration: time.Second}
	l.claim(0, honest, 1, time.Hour)
	most := scoreboard.Totals{Connections: math.MaxUint64, Requests: math.MaxUint64, BytesSent: math.MaxUint64, Duration: math.MaxInt64}
	last := l.all()
	for range 100 {
		for _, lie := range []scoreboard.Totals{most, {}, {Duration: -1}, honest} {
			l.claim(1, lie, 1, time.Second)
			now := l.all()
			if now.Connections < last.Connections || now.Requests < last.Requests || now.BytesSent < last.BytesSent || now.Duration < last.Duration {
				t.Fatalf("totals fell from %+v to %+v", last, now)
			}
			last = now
		}
		l.close(1)
	}
	if last.Requests > 100*2*countMaxPerSecond+50 || last.BytesSent > 100*2*bytesMaxPerSecond+500 || last.Duration > 201*time.Second {
		t.Errorf("100 children that lived for a second come to %+v", last)
	}
	if child, slot := l.of(0); child != honest || slot != honest {
		t.Errorf("another slot: %+v, %+v", child, slot)
	}
}

func TestTotalsStopAtTheMost(t *testing.T) {
	var l ledger
	for range 3 {
		l.claim(0, scoreboard.Totals{Requests: math.MaxUint64, Duration: math.MaxInt64}, scoreboard.ThreadsMax, 1000*time.Hour)
		l.close(0)
	}
	if got := l.all(); got.Requests > totalMax || got.Duration > durationMax || got.Duration < 0 {
		t.Errorf("totals of %+v", got)
	}
}
