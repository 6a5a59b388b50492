package guest_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/sdk/abi"
)

// watch notes what it is told.
type watch struct{ told []string }

func (w *watch) Run(name string, budget time.Duration) {
	w.told = append(w.told, "run "+name+" "+budget.String())
}
func (w *watch) Pause()  { w.told = append(w.told, "pause") }
func (w *watch) Resume() { w.told = append(w.told, "resume") }

// watchedSession is one that is watched over.
type watchedSession struct {
	*session
	guest.Guard
}

// A module's own start function may run without end, too, and is not running any
// more when it has trapped: a process that waits for its next request must not be
// ended for it. And a call of the host that may
// wait is not the guest's time, nor is one for a file; one that cannot wait is.
func TestTheStartFunctionIsGuarded(t *testing.T) {
	calls := guest.ABI{
		Name: "test", ImportModule: abi.ConnModule,
		Funcs: []guest.HostFunc{{
			Name: abi.Stopping, Type: guest.Signature("", "i"),
			Call: func(context.Context, guest.Memory, []uint64) {},
		}},
		Required: []guest.ExportFunc{{Name: abi.ProcessConnection, Type: guest.Signature("", "i")}},
	}
	for name, dirs := range map[string][]guest.Dir{
		"start_calls": nil,
		"start_files": {{Host: t.TempDir(), Guest: "/d"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := guest.NewRuntime(t.Context(), guest.Options{ABIs: []guest.ABI{calls}})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close(t.Context())
			src := source(t, name)
			src.Dirs = dirs
			m, err := r.Load(t.Context(), src)
			if err != nil {
				t.Fatal(err)
			}
			w := &watch{}
			s := &watchedSession{newSession(t), guest.NewGuard(w, "name", time.Second)}
			if _, err := guest.NewPool(m, initialize, guest.Fresh).Get(s); err == nil {
				t.Fatal("the start function has not trapped")
			}
			if want := []string{"run name 1s", "pause", "resume", "pause"}; !slices.Equal(w.told, want) {
				t.Errorf("told %q, want %q", w.told, want)
			}
		})
	}
}
