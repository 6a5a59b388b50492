package guest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/sdk/abi"
)

// watch notes what it is told.
type watch struct{ told []string }

func (w *watch) Run(name string, budget time.Duration) {
	w.told = append(w.told, "run "+name+" "+budget.String())
}
func (w *watch) Call(name string) { w.told = append(w.told, "call "+name) }
func (w *watch) Pause()           { w.told = append(w.told, "pause") }
func (w *watch) Resume()          { w.told = append(w.told, "resume") }
func (w *watch) Continue()        { w.told = append(w.told, "continue") }

// watchedSession is one that is watched over.
type watchedSession struct {
	*session
	guest.Guard
}

// A module's own start function may run without end, too, and is not running any
// more when it has trapped: a process that waits for its next request must not be
// ended for it. And a call of the host that waits is not the guest's time; one that
// cannot wait is, and one for a file that was quick and has read nothing.
func TestTheStartFunctionIsGuarded(t *testing.T) {
	calls := guest.ABI{
		Name: "test", ImportModule: abi.ConnModule,
		Funcs: []guest.HostFunc{{
			Name: abi.Stopping, Type: guest.Signature("", "i"),
			Call: func(ctx context.Context, _ guest.Memory, _ []uint64) {
				s := guest.SessionOf(ctx).(*watchedSession)
				s.Pause()
				s.Resume()
			},
		}},
		Required: []guest.ExportFunc{{Name: abi.ProcessConnection, Type: guest.Signature("", "i")}},
	}
	for name, test := range map[string]struct {
		dirs  []guest.Dir
		calls []string // the last one waits
		after string   // that
	}{
		"start_calls": {nil, []string{"call " + abi.Stopping}, "resume"},
		"start_files": {[]guest.Dir{{Host: t.TempDir(), Guest: "/d"}}, []string{"call fd_prestat_get", "call fd_fdstat_get", "call fd_filestat_get"}, "continue"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := guest.NewRuntime(t.Context(), guest.Options{ABIs: []guest.ABI{calls}})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close(t.Context())
			src := source(t, name)
			src.Dirs = test.dirs
			m, err := r.Load(t.Context(), src)
			if err != nil {
				t.Fatal(err)
			}
			w := &watch{}
			s := &watchedSession{newSession(t), guest.NewGuard(w, "name", guest.NewLimits(time.Second, 0))}
			if _, err := guest.NewPool(m, initialize, guest.Fresh).Get(s); err == nil {
				t.Fatal("the start function has not trapped")
			}
			if want := slices.Concat([]string{"run name 1m0s"}, test.calls, []string{"pause", test.after, "pause"}); !slices.Equal(w.told, want) {
				t.Errorf("told %q, want %q", w.told, want)
			}
		})
	}
}

// ended reports whether the turn is over.
func ended(g *guest.Guard) (over bool) {
	defer func() { over = recover() != nil }()
	g.EndOvertime()
	return false
}

func TestATurnIsOverAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pass := func(d time.Duration) { <-time.After(d) }
		g := guest.NewGuard(nil, "name", guest.NewLimits(0, 10*time.Second))
		begun := time.Now()
		if pass(9 * time.Second); ended(&g) {
			t.Error("it is over after 9 of 10 seconds")
		}
		g.Rest()
		pass(time.Hour)
		if g.Work(false); ended(&g) {
			t.Error("the time of a rest counts")
		}
		if want := begun.Add(10*time.Second + time.Hour); !g.Until().Equal(want) {
			t.Errorf("it lasts until %s, want %s", g.Until(), want)
		}
		if pass(time.Second); !ended(&g) {
			t.Error("it goes on after 10 seconds")
		}
		g.Rest()
		if g.Work(true); ended(&g) {
			t.Error("another turn is over at its beginning")
		}
		if soon := time.Now().Add(time.Second); !g.Sooner(soon).Equal(soon) || !g.Sooner(soon.Add(time.Hour)).Equal(g.Until()) ||
			!g.Sooner(time.Time{}).Equal(g.Until()) {
			t.Error("the end of the turn is not taken for what it is")
		}
	})
}

func TestATurnWithoutALimitIsNeverOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guest.NewGuard(nil, "name", guest.NewLimits(time.Second, 0))
		if <-time.After(time.Hour); ended(&g) || !g.Until().IsZero() || !g.Sooner(time.Time{}).IsZero() {
			t.Errorf("it ends at %s", g.Until())
		}
	})
}

// The clock is not looked at in each call, but a guest that does nothing else than
// call the host is ended, and says where it was.
func TestAGuestThatCallsForEverIsEnded(t *testing.T) {
	pool := newPool(t, "calls_ever")
	for _, call := range []string{"sched_yield", "environ_sizes_get", "fd_close", "path_unlink_file"} {
		s := &watchedSession{newSession(t), guest.NewGuard(nil, "name", guest.NewLimits(0, 50*time.Millisecond))}
		i := get(t, pool, s)
		err := i.Call(s, call, nil)
		pool.Put(i, guest.EndOf(err))
		f, ok := errors.AsType[*guest.Failure](err)
		if !ok || !guest.IsOvertime(err) || f.Call != call || f.Limit != 50*time.Millisecond || guest.EndOf(err) != guest.Failed {
			t.Fatalf("%s: %v", call, err)
		}
		if want := call + " took longer than 50ms, in " + call; f.Error() != want {
			t.Errorf("error %q, want %q", f, want)
		}
	}
}

// Making an instance is not the turn of the client who needs it, and has a time of its
// own, after which the turn begins anew.
func TestAnInstanceIsMadeInATimeOfItsOwn(t *testing.T) {
	m := newPool(t, "calls_ever").Module()
	for wall, own := range map[time.Duration]time.Duration{0: 0, time.Second: time.Minute, time.Hour: time.Hour} {
		for _, isolation := range []guest.Isolation{guest.Fresh, guest.Own, guest.Kept} {
			synctest.Test(t, func(t *testing.T) {
				const pause = 30 * time.Second
				g := guest.NewGuard(nil, "name", guest.NewLimits(0, wall))
				<-time.After(pause)
				s := &watchedSession{newSession(t), g}
				want := func(when string, limit time.Duration) {
					t.Helper()
					until := time.Now().Add(limit)
					if limit == 0 {
						until = time.Time{}
					}
					if got := s.Until(); !got.Equal(until) {
						t.Errorf("timeout %s, isolation %v: %s it ends at %s, want %s", wall, isolation, when, got, until)
					}
				}
				pool := guest.NewPool(m, func(guest.Session, *guest.Instance) (any, error) {
					want("while the instance is made", own)
					<-time.After(pause)
					return nil, nil
				}, isolation)
				i := get(t, pool, s)
				want("after that", wall)
				pool.Put(i, guest.Returned)
				if err := pool.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// An instance is made again and again, with other random numbers and another time: that
// it could be made at the start does not say that it always can.
func TestAGuestThatSleepsWhileItIsMadeIsEnded(t *testing.T) {
	m := newPool(t, "sleeps").Module()
	for in, environ := range map[string][]string{abi.Initialize: nil, "instantiate": {"START=1"}} {
		for _, isolation := range []guest.Isolation{guest.Fresh, guest.Own, guest.Kept} {
			synctest.Test(t, func(t *testing.T) {
				s := &watchedSession{newSession(t), guest.NewGuard(nil, "name", guest.NewLimits(0, time.Second))}
				s.environ = environ
				begun := time.Now()
				_, err := guest.NewPool(m, initialize, isolation).Get(s)
				f, ok := errors.AsType[*guest.Failure](err)
				if took := time.Since(begun); !ok || f.Kind != guest.Overtime || f.Func != in || took != time.Minute {
					t.Errorf("%s, isolation %v: %v after %s", in, isolation, err, took)
				}
			})
		}
	}
}
