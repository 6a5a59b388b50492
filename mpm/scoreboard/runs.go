package scoreboard

import "time"

// A thread that runs code which may not come back says so before and after, and
// says how long it may run at a time. It reads no clock for that: whoever watches
// looks now and then whether it is still the same run, and need not look at all
// before the bell rings.

// OnBell sets what rings the bell. The owner calls it before any thread runs code;
// ring is called by the goroutine of a thread, once for each time that AwaitRun
// was called.
func (s *Slot) OnBell(ring func()) { s.ring = ring }

// AwaitRun asks the owner to ring once when a thread next runs code. Code that ran
// before does not ring: look for it afterwards.
func (s *Slot) AwaitRun() { s.process.bell.Store(1) }

// answer rings, if no other thread has.
func (s *Slot) answer() {
	if s.process.bell.CompareAndSwap(1, 0) && s.ring != nil {
		s.ring()
	}
}

// Run notes that code of that name runs from now on, for budget at most; 0 is
// without bound.
func (t *Thread) Run(name string, budget time.Duration) {
	if name != t.running {
		t.running = name
		t.sequence.Add(1)
		t.code.nameLen = uint8(copy(t.code.name[:], name))
		t.sequence.Add(1)
	}
	if b := uint64(budget); t.code.budget.Load() != b {
		t.code.budget.Store(b)
	}
	if t.called != "" {
		t.code.callLen, t.called = 0, ""
	}
	t.Resume()
}

// Call notes what the code has called; the name is cut to 31 bytes.
func (t *Thread) Call(name string) {
	if name != t.called {
		t.called = name
		t.code.callLen = uint8(copy(t.code.call[:], name))
	}
}

// Pause notes that the code has come back, for good or to wait for something.
func (t *Thread) Pause() {
	if t.runs.Load()%2 != 0 {
		t.runs.Add(1)
	}
}

// Resume notes that it runs again.
func (t *Thread) Resume() {
	if t.runs.Load()%2 == 0 {
		t.runs.Add(1)
	}
	t.answer()
}

// Continue takes a Pause back: it is still the same run.
func (t *Thread) Continue() {
	if n := t.runs.Load(); n%2 == 0 && n > 0 {
		t.runs.Store(n - 1)
	}
	t.answer()
}

// answer rings if somebody waits for it. It comes after what tells of the run, which
// AwaitRun's caller looks at after that.
func (t *Thread) answer() {
	if t.slot.process.bell.Load() != 0 {
		t.slot.answer()
	}
}

// Running is what a thread says that it runs: Number is the same while the code
// has not come back, and 0 if none runs, or it waits. After a wait that was none it is
// the same again. Budget is at least 0.
type Running struct {
	Number uint64
	Budget time.Duration
}

// Running reads what the thread runs.
func (t *Thread) Running() Running {
	n := t.runs.Load()
	if n%2 == 0 {
		return Running{}
	}
	return Running{n, clampTime(t.code.budget.Load())}
}
