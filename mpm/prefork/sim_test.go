package prefork

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// One seed is one sequence of steps, the same on every machine.
var (
	simSeed  = flag.Uint64("sim.seed", 0, "run the simulator with this seed only")
	simSteps = flag.Int("sim.steps", 2000, "how many steps of the simulator to run for each seed")
	simSeeds = flag.Int("sim.seeds", 500, "how many seeds to run, those from 1 up")
	simModel = flag.String("sim.model", "", "run only worlds of this model")
	simFresh = flag.Bool("sim.fresh", false, "run seeds that are new each time instead")
)

// TestSimulator runs the master's loop against processes that fail in every
// way known, and holds it to its invariants after each step.
func TestSimulator(t *testing.T) {
	seeds := pickSeeds(t)
	var next, steps, answers, backs, simulated atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(seeds)) && !t.Failed(); i = next.Add(1) - 1 {
				s := &simRun{seed: seeds[i], rng: rand.New(rand.NewPCG(seeds[i], 0)), want: *simSteps}
				if problem := s.run(); problem != "" {
					t.Error(problem)
				}
				steps.Add(int64(s.steps))
				answers.Add(int64(s.answers))
				backs.Add(int64(s.backs))
				simulated.Add(int64(s.simulated))
			}
		})
	}
	wg.Wait()
	t.Logf("%d steps, %d requests, %d generations rolled back, %s of simulated time", steps.Load(), answers.Load(), backs.Load(), time.Duration(simulated.Load()).Round(time.Minute))
}

// pickSeeds gives the seeds to run: always the same, and a new one.
func pickSeeds(t *testing.T) []uint64 {
	if *simSeed != 0 {
		return []uint64{*simSeed}
	}
	seeds := make([]uint64, *simSeeds)
	for i := range seeds {
		seeds[i] = uint64(i + 1)
		if *simFresh {
			seeds[i] = rand.Uint64()
		}
	}
	if testing.Short() {
		seeds = seeds[:len(seeds)/10]
	}
	fresh := rand.Uint64()
	t.Logf("the last seed is %d", fresh)
	return append(seeds, fresh)
}

// simRun is the run of one seed: one world after another, each from start to
// end.
type simRun struct {
	seed           uint64
	rng            *rand.Rand
	want           int
	steps, answers int
	backs          int
	simulated      time.Duration
}

// run returns what went wrong, if anything.
func (s *simRun) run() string {
	for s.steps < s.want {
		w := newSimWorld(s.rng)
		w.steps = s.steps
		func() {
			defer func() {
				if r := recover(); r != nil {
					w.violated("panic: %v\n%s", r, debug.Stack())
				}
			}()
			s.live(w)
		}()
		s.steps = w.steps
		s.answers += w.answers
		s.backs += w.backs
		s.simulated += w.at
		if w.problem != "" {
			return fmt.Sprintf("seed %d, step %d: %s\nto replay: go test ./mpm/prefork -run TestSimulator -sim.seed %d -sim.steps %d\nthe last steps:\n%s",
				s.seed, w.steps, w.problem, s.seed, s.want, w.trace())
		}
	}
	return ""
}

// live runs a master from its start to its end.
func (s *simRun) live(w *simWorld) {
	w.parent.begin(w.now())
	w.wake = w.now()
	for s.goOn(w) && w.steps < s.want {
		s.chaos(w)
		if w.parent.winding != nil {
			s.drain(w)
		}
		if !s.goOn(w) || w.parent.winding != nil {
			break
		}
		if w.rng.IntN(2) == 0 {
			s.storm(w)
		} else {
			s.calm(w)
		}
	}
	if w.problem == "" && !w.parent.stopping {
		w.ask(Stop)
	}
	s.end(w)
}

// goOn reports whether the master still serves and has done nothing wrong.
func (s *simRun) goOn(w *simWorld) bool { return w.problem == "" && !w.parent.stopping }

// chaos lets everything happen for some steps.
func (s *simRun) chaos(w *simWorld) {
	w.quiet, w.storm = false, false
	w.after(0, simItem{what: actStimulus})
	for end := min(w.steps+100+w.rng.IntN(700), s.want); w.steps < end && s.goOn(w); {
		w.step()
	}
}

// calm lets no new fault happen until there must be enough children.
func (s *simRun) calm(w *simWorld) {
	w.quiet = true
	w.note("it is calm", nil, 0)
	s.settle(w)
	w.backlog, w.waiting = [4]int{}, 0 // or one bucket may have enough to do for much longer
	for end := w.active() + simCalm; w.active() < end && s.goOn(w); {
		w.step()
	}
	if s.goOn(w) && w.parent.winding == nil {
		w.checkIdle()
	}
}

// drain lets a graceful stop go on, at most times to its end. One without a
// bound may wait for a child that hangs.
func (s *simRun) drain(w *simWorld) {
	w.quiet = w.rng.IntN(2) == 0
	most := w.upTo(3 * time.Minute)
	for end := w.active() + most; w.active() < end && s.goOn(w); {
		w.step()
	}
}

// settle waits for all requests to be answered.
func (s *simRun) settle(w *simWorld) {
	for s.goOn(w) && w.parent.winding == nil && (w.parent.serving == nil || w.parent.reload != nil || w.parent.queued != nil || len(w.inbox) > 0) {
		w.step()
	}
}

// storm lets every child of the serving generation die, and those that come
// for them die young, and counts how many come.
func (s *simRun) storm(w *simWorld) {
	w.quiet = true
	s.settle(w)
	w.quiet, w.storm = false, true
	w.note("a storm", nil, 0)
	for _, p := range w.live {
		if !p.candidate {
			p.stuck = false
			w.after(0, simItem{what: actDie, p: p, n: 2 << 8})
		}
	}
	// After 40 s there is a spawn each ten seconds, of one child, or of another
	// while the report of the first is not read to its end.
	for end := w.at + 40*time.Second; w.at < end && s.goOn(w); {
		w.step()
	}
	before := w.spawns
	for end := w.at + time.Minute; w.at < end && s.goOn(w); {
		w.step()
	}
	if n := w.spawns - before; n > 16 && s.goOn(w) {
		w.violated("%d children are spawned in a minute in which all die young", n)
	}
}

// end waits for the end of a master that was stopped.
func (s *simRun) end(w *simWorld) {
	from := w.active()
	for w.problem == "" && !w.parent.done(w.now()) {
		w.step()
		most := 5*time.Second + reportPatience + simSlack // the longest kill_timeout
		if w.unkilled {
			most = firstStepTimeout + unkillable + simSlack
		}
		if w.parent.stopping && w.active()-from > most {
			w.violated("the master has not ended within %s", most)
		}
	}
	if w.problem != "" {
		return
	}
	if err := w.parent.leftover(); err != nil {
		if !w.unkilled {
			w.violated("processes are left: %v", err)
		}
	} else {
		w.parent.release()
	}
	w.checkEnd()
}
