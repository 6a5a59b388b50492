package guest_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/sdk/abi"
)

// A fault of the host's own in a host function ends the guest and not the
// process, and its Go stack is kept apart from what is logged as the error.
func TestAFaultInAHostFunctionEndsTheGuestOnly(t *testing.T) {
	var none *session
	for name, test := range map[string]struct {
		call      func()
		kind      guest.FailureKind
		text      string
		hostStack bool
	}{
		"nil":   {func() { none.lines = nil }, guest.HostFault, "hit a fault in the host: runtime error: invalid memory address", true},
		"bug":   {func() { panic("BUG: impossible") }, guest.HostFault, "hit a fault in the host: BUG: impossible", false},
		"stop":  {func() { guest.Stop(io.ErrClosedPipe) }, guest.Stopped, "was stopped: io: read/write on closed pipe", false},
		"abort": {func() { guest.Abort("f: %d is odd", 3) }, guest.Refused, "misused the host: f: 3 is odd", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := callsHost(t, test.call)
			pool, s := guest.NewPool(m, initialize, guest.Fresh), newSession(t)
			i := get(t, pool, s)
			err := i.Call(s, abi.ProcessConnection, []uint64{0})
			pool.Put(i, guest.EndOf(err))
			f, ok := errors.AsType[*guest.Failure](err)
			if !ok || f.Kind != test.kind || !strings.HasPrefix(f.Error(), "process_connection "+test.text) {
				t.Fatalf("%v, want %s", err, test.text)
			}
			if strings.Contains(f.Error()+f.Stack, "goroutine") || (f.HostStack != "") != test.hostStack {
				t.Errorf("error %q, stack %q, host stack %q", f, f.Stack, f.HostStack)
			}
			if !strings.Contains(f.Stack, "stopping") {
				t.Errorf("stack %q", f.Stack)
			}
		})
	}
}

// callsHost is a guest whose process_connection calls a function of the host.
func callsHost(t *testing.T, call func()) *guest.Module {
	t.Helper()
	host := guest.ABI{
		Name: "test", ImportModule: abi.ConnModule,
		Funcs: []guest.HostFunc{{
			Name: abi.Stopping, Type: guest.Signature("", "i"),
			Call: func(context.Context, guest.Memory, []uint64) { call() },
		}},
		Required: []guest.ExportFunc{{Name: abi.ProcessConnection, Type: guest.Signature("", "i")}},
	}
	r, err := guest.NewRuntime(t.Context(), guest.Options{ABIs: []guest.ABI{host}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	m, err := r.Load(t.Context(), source(t, "calls_host"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}
