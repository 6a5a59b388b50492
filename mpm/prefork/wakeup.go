package prefork

import "time"

// wakeUp is the earliest of some times.
type wakeUp struct{ time time.Time }

func (w *wakeUp) at(t time.Time) {
	if !t.IsZero() && (w.time.IsZero() || t.Before(w.time)) {
		w.time = t
	}
}

// due reports whether a deadline has come; the zero time never does.
func due(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }
