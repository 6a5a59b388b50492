package guest

import (
	"context"
	"errors"
	"time"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"

	"github.com/apphost/apphost/sdk/abi"
)

// program is a main function that is run in parts: it parks in its ABI's function
// for that, and the next part goes on from there. Between its parts it waits in a
// goroutine of its own, inside the host function.
//
// What the engine knows of a call under way is not in the memory: where it is, and
// the local variables of the functions that it is in. So the image of the memory is
// not all that each part needs to find everything as the first one did. With replay,
// the program parks a second time at the end of each part, after it went back to
// where it had parked first, by a snapshot of the engine's. One can be gone back to
// once only, and taken only inside a host function. So the program's function is
// called by a loop of ours, between it and the program (wasmbin.Loop): gone back to,
// that calls again, which is when the next snapshots are taken.
//
// Neither touches memory or globals, so they may be reset meanwhile.
type program struct {
	parts  chan Session // of the next part; closed when there is none
	parked chan error   // how a part ended: nil if it has parked

	replay bool // each part begins at the same point
	count  int  // of the parts that began
	ended  bool

	// Of its goroutine.
	session   Session // of the part that runs
	serves    bool    // it has parked before
	snapshots []experimental.Snapshot
	returned  bool // it went back to a snapshot just now
}

// A snapshot has the engine's whole stack, and is 16 bytes larger than the one that
// it is taken after. So several are taken at a time, and after some thousand parts a
// program with replay is made anew.
const (
	snapshotsAtATime = 4
	partsMax         = 8192
)

// What the function that a program parks in returns to the loop around it.
const (
	parkDone  = 0 // go on with the program
	parkAgain = 1 // call once more
)

// loopSuffix makes the name of the module with that loop of that of its ABI's.
const loopSuffix = ".loop"

type programKey struct{}

// programContext is the context of all parts: it has the values of the one that
// runs, and no end.
type programContext struct{ *program }

func (programContext) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }
func (programContext) Done() <-chan struct{}                   { return nil }
func (programContext) Err() error                              { return nil }

func (c programContext) Value(key any) any {
	switch key.(type) {
	case sessionKey:
		return c.session
	case programKey:
		return c.program
	}
	if c.session == nil {
		return nil
	}
	return c.session.Value(key)
}

// Run lets a program go on until it parks again: at first from the beginning of its
// main function, then from where it has parked. The error is nil if it has parked.
// Otherwise it is a [*Failure] of a program that will not go on; one that has
// returned from its main function has exited with code 0.
func (i *Instance) Run(s Session) error {
	i.output.session = s
	p, guard := i.program, guardOf(s)
	if p.ended {
		panic("BUG: a program runs on that has ended")
	}
	if p.count == 0 {
		p.parts, p.parked = make(chan Session), make(chan error)
		go p.main(i.function(abi.Start))
	}
	p.count++
	guard.run()
	p.parts <- s
	err := <-p.parked
	guard.Pause()
	if f, ok := errors.AsType[*Failure](err); ok {
		i.overflowed = f.Kind == StackOverflow
	}
	return err
}

// stop ends a program that is parked, and returns when it has ended.
func (p *program) stop() {
	if p.count > 0 && !p.ended {
		close(p.parts)
		if <-p.parked == nil {
			panic("BUG: a program parks that is to end")
		}
	}
}

// main runs the program to its end.
func (p *program) main(fn api.Function) {
	p.session = <-p.parts
	ctx := context.Context(programContext{p})
	if p.replay {
		ctx = experimental.WithSnapshotter(ctx)
	}
	err := fn.CallWithStack(ctx, nil)
	if err == nil {
		err = sys.NewExitError(0)
	}
	p.ended, p.session, p.snapshots = true, nil, nil
	p.parked <- classify(abi.Start, err)
}

// park implements the function that a program parks in.
func park(ctx context.Context, _ api.Module, stack []uint64) {
	p, ok := ctx.Value(programKey{}).(*program)
	if !ok {
		Abort("accept: it waits for its next run before its main function has begun")
	}
	if !p.returned {
		p.session = nil
		p.parked <- nil
	}
	if p.replay {
		if p.serves && !p.returned {
			p.returned = true
			p.nextSnapshot().Restore([]uint64{parkAgain}) // comes back by another call
		}
		if len(p.snapshots) == 0 {
			for range snapshotsAtATime {
				p.snapshots = append(p.snapshots, experimental.GetSnapshotter(ctx).Snapshot())
			}
		}
	}
	p.serves, p.returned = true, false
	if p.session, ok = <-p.parts; !ok {
		exit(0)
	}
	stack[0] = parkDone
}

// nextSnapshot takes one that was not used yet.
func (p *program) nextSnapshot() experimental.Snapshot {
	last := len(p.snapshots) - 1
	s := p.snapshots[last]
	p.snapshots[last] = nil
	p.snapshots = p.snapshots[:last]
	return s
}

// reset makes sure that the next part begins as the first one did.
func (p *program) reset() error {
	switch {
	case p.ended:
		return errors.New("the program has ended")
	case p.count > partsMax:
		return errors.New("the program has run often enough")
	}
	return nil
}
