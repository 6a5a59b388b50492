package guest

import (
	cryptorand "crypto/rand"
	"math/rand/v2"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/sys"
)

// origin makes all instances of a pool alike that are prepared by the guest's own
// code: until it is over, each draws the same random numbers, and its clocks begin
// at the same time and move on by what it has slept, and a little with each look. So
// they can have one image. What a guest draws once there are clients is its own.
type origin struct {
	start time.Time
	seed  [32]byte
}

func newOrigin() *origin {
	o := &origin{start: time.Now()}
	_, _ = cryptorand.Read(o.seed[:]) // it never fails
	return o
}

// world is what an instance sees of the world outside, beginning with an origin.
type world struct {
	origin *origin
	random *rand.ChaCha8
	passed time.Duration
	real   bool // the origin is over
}

func (o *origin) world() *world { return &world{origin: o, random: rand.NewChaCha8(o.seed)} }

// config gives a guest its clocks and random numbers.
func (w *world) config(c wazero.ModuleConfig) wazero.ModuleConfig {
	return c.WithRandSource(w).
		WithWalltime(w.walltime, sys.ClockResolution(time.Microsecond)).
		WithNanotime(w.nanotime, sys.ClockResolution(time.Nanosecond))
}

// Read draws random numbers.
func (w *world) Read(p []byte) (int, error) {
	if w.real {
		return cryptorand.Read(p)
	}
	return w.random.Read(p)
}

// since is the time since the origin. It is never less than it was before: the
// real time passes faster than one in which a look takes a nanosecond.
func (w *world) since() time.Duration {
	if w.real {
		return time.Since(w.origin.start)
	}
	w.passed++
	return w.passed
}

func (w *world) walltime() (sec int64, nsec int32) {
	now := time.Now()
	if !w.real {
		now = w.origin.start.Add(w.since())
	}
	return now.Unix(), int32(now.Nanosecond())
}

// nanotime does not begin at 0, which some take for a clock that is not there.
func (w *world) nanotime() int64 { return int64(time.Second + w.since()) }

// slept notes that the guest has waited.
func (w *world) slept(d time.Duration) { w.passed += d }
