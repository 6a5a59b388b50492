package httpwasm

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/internal/hosttest"
	"github.com/apphost/apphost/sdk/abi"
)

// The image is taken after the warm-up: each request finds what that has left, and
// nothing of other requests.
func TestEachRequestFindsWhatTheWarmUpLeft(t *testing.T) {
	for _, test := range []struct {
		isolation guest.Isolation
		path      string
		want      [2]string
	}{
		{guest.Fresh, "", [2]string{"hello 1\n", "hello 1\n"}},
		{guest.Fresh, "/", [2]string{"hello 2\n", "hello 2\n"}},
		{guest.Kept, "/", [2]string{"hello 2\n", "hello 3\n"}},
	} {
		p := newPlugin(t, "hello", Settings{WarmUp: test.path, Isolation: test.isolation})
		var steps []string
		if err := p.Check(t.Context(), 1, func(what string) { steps = append(steps, what) }); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(steps, "warm_up, GET /") != (test.path != "") {
			t.Errorf("steps: %s", steps)
		}
		for n, want := range test.want {
			x := newFake("/", "")
			if err := p.Serve(t.Context(), x); err != nil || x.out.String() != want {
				t.Errorf("warm_up %q, isolation %v: request %d got %q, %v, want %q", test.path, test.isolation, n, x.out.String(), err, want)
			}
		}
	}
}

// Nobody is waited for in a warm-up: a guest that calls on and on is found there too.
func TestAWarmUpIsTheGuestsTime(t *testing.T) {
	x := newRehearsal("/")
	f, w := newForward(t, x, Settings{}), &hosttest.Waits{}
	f.s.Guard = guest.NewGuard(w, "forward", guest.NewLimits(time.Second, 0))
	for range 3 {
		f.do("write_body", abi.BodyResponse, 0, 10)
	}
	if w.N != 0 {
		t.Errorf("it has waited %d times", w.N)
	}
}

func TestAWarmUpThatFailsIsAnError(t *testing.T) {
	p := newPlugin(t, "hello", Settings{WarmUp: "/trap!"})
	err := p.Check(t.Context(), 1, func(string) {})
	if want := "warm_up, GET /trap!: handle_request trapped: wasm error: unreachable"; err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
	p = newPlugin(t, "next", Settings{WarmUp: "/w"})
	if err := p.Check(t.Context(), 1, func(string) {}); err == nil || !strings.Contains(err.Error(), errAnsweredTwice.Error()) {
		t.Error(err)
	}
}

// What a guest enables for the request of the warm-up is not enabled for others.
func TestAWarmUpEnablesNothingForOtherRequests(t *testing.T) {
	p := newPlugin(t, "next", Settings{WarmUp: "/b"})
	x := newFake("/plain", "")
	if err := p.Serve(t.Context(), x); err != nil || x.out.String() != "404 Not Found\n" {
		t.Errorf("%q, %v", x.out.String(), err)
	}
	i, err := p.pool.Get(&session{Context: t.Context(), plugin: p})
	if err != nil {
		t.Fatal(err)
	}
	defer p.pool.Put(i, guest.Returned)
	if got := i.Prepared.(uint32); got != 0 {
		t.Errorf("prepared with the features %b", got)
	}
}

// An answer that says that the path is wrong is said once, where it is tried out.
func TestAWarmUpThatIsAnsweredWithAnErrorIsSaid(t *testing.T) {
	for _, trial := range []bool{false, true} {
		logger, log := hosttest.Logger()
		f := newForward(t, nil, Settings{Trial: trial, WarmUp: "/x", Logger: logger})
		f.s.plugin.reportStatus(f.s, 404)
		want := ""
		if trial {
			want = "level=WARN msg=\"warm_up: GET /x is answered with status 404\"\n"
		}
		if got := log.Take(); got != want {
			t.Errorf("trial %v logged %q", trial, got)
		}
	}
}

// What a guest may do with a request, it may do in the warm-up.
func TestARehearsalIsAnExchange(t *testing.T) {
	x := newRehearsal("/a?b=c")
	if got := string(x.Method()) + " " + string(x.URI()) + " " + x.Protocol(); got != "GET /a?b=c HTTP/1.1" {
		t.Error(got)
	}
	h := x.Header(exchange.Request)
	names := func() (all []string) {
		h.Names(func(n []byte) bool { all = append(all, string(n)); return true })
		return all
	}
	values := func(name string) (all []string) {
		h.Values([]byte(name), func(v []byte) bool { all = append(all, string(v)); return true })
		return all
	}
	if got := names(); !slices.Equal(got, []string{"Host", "User-Agent"}) {
		t.Error(got)
	}
	if got := values("host"); !slices.Equal(got, []string{"localhost"}) {
		t.Error(got)
	}
	for _, err := range []error{
		h.Add([]byte("X"), []byte("1")), h.Add([]byte("x"), []byte("2")), h.Set([]byte("HOST"), []byte("h")), h.Remove([]byte("user-agent")),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if got := names(); !slices.Equal(got, []string{"X", "HOST"}) {
		t.Error(got)
	}
	if got := values("x"); !slices.Equal(got, []string{"1", "2"}) {
		t.Error(got)
	}
	for _, name := range []string{"", "a b", "a:", "a\n"} {
		if err := h.Set([]byte(name), nil); err != exchange.ErrInvalid { //nolint:errorlint // it is that very error
			t.Errorf("%q: %v", name, err)
		}
	}
	x.SetURI([]byte("/z"))
	x.SetMethod([]byte("PUT"))
	if err := x.SetStatus(201); err != nil || string(x.URI()) != "/z" || string(x.Method()) != "PUT" || x.Status() != 201 {
		t.Errorf("%+v, %v", x, err)
	}
}
