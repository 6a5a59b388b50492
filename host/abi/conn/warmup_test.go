package conn

import (
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/internal/hosttest"
)

// The image is taken after the warm-up: each connection finds what that has left,
// and nothing of other connections. With instances that are kept, it comes once
// before the first.
func TestEachConnectionFindsWhatTheWarmUpLeft(t *testing.T) {
	for _, test := range []struct {
		isolation guest.Isolation
		calls     int
		want      [2]string
	}{
		{guest.Fresh, 0, [2]string{"1", "1"}},
		{guest.Fresh, 3, [2]string{"4127.0.0.1:0", "4127.0.0.1:0"}},
		{guest.Kept, 3, [2]string{"4127.0.0.1:0", "5127.0.0.1:0"}},
	} {
		p := newPlugin(t, "warm", Settings{WarmUp: test.calls, Isolation: test.isolation})
		var steps []string
		if err := p.Check(t.Context(), 1, func(what string) { steps = append(steps, what) }); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(steps, ", "); strings.Contains(got, "warm_up, 3 calls of process_connection") != (test.calls > 0) {
			t.Errorf("steps: %s", got)
		}
		for n, want := range test.want {
			got := serve(t, p, "c")
			if test.calls == 0 { // what conn_info says then is the client's
				got = got[:min(len(got), 1)]
			}
			if got != want {
				t.Errorf("%d calls, isolation %v: client %d got %q, want %q", test.calls, test.isolation, n, got, want)
			}
		}
	}
}

// Nobody is waited for in a warm-up: a guest that calls on and on is found there too.
func TestAWarmUpIsTheGuestsTime(t *testing.T) {
	p, w := newPlugin(t, "warm", Settings{WarmUp: 2}), &hosttest.Waits{}
	s := &session{Context: t.Context(), Guard: guest.NewGuard(w, "warm", guest.NewLimits(time.Second, 0)), plugin: p}
	i, err := p.pool.Get(s)
	if err != nil {
		t.Fatal(err)
	}
	p.pool.Put(i, guest.Returned)
	if w.N != 0 {
		t.Errorf("it has waited %d times", w.N)
	}
}

func TestAWarmUpThatFailsIsAnError(t *testing.T) {
	for mode, want := range map[string]string{
		"t": "warm_up: process_connection trapped: wasm error: unreachable",
		"x": "warm_up: process_connection exited with code 0; a guest that has ended itself can serve nobody, so it cannot be warmed up",
	} {
		p := newPlugin(t, "warm", Settings{WarmUp: 1, Config: map[string]string{"m": mode}})
		if err := p.Check(t.Context(), 1, func(string) {}); err == nil || err.Error() != want {
			t.Errorf("mode %s: %v, want %q", mode, err, want)
		}
	}
}

// An error that the guest returns is said once, where it is tried out.
func TestAWarmUpThatReturnsAnErrorIsSaid(t *testing.T) {
	for _, trial := range []bool{false, true} {
		logger, log := hosttest.Logger()
		p := newPlugin(t, "warm", Settings{WarmUp: 4, Trial: trial, Config: map[string]string{"m": "e"}, Logger: logger})
		if err := p.Check(t.Context(), 1, func(string) {}); err != nil {
			t.Fatal(err)
		}
		want := ""
		if trial {
			want = "level=WARN msg=\"warm_up: process_connection returned 5 to a connection without any data\"\n"
		}
		if got := log.Take(); got != want {
			t.Errorf("trial %v logged %q", trial, got)
		}
	}
}
