package mpm

import (
	"errors"
	"testing"
)

func worker() *Options {
	o := good()
	o.Model, o.ThreadsPerChild = Worker, 25
	o.StartServers, o.MinSpareServers, o.MaxSpareServers = 3, 0, 0
	o.MinSpareThreads, o.MaxSpareThreads, o.MaxRequestWorkers, o.ServerLimit = 75, 250, 400, 32
	return o
}

func TestEveryQuestionHasItsAnswer(t *testing.T) {
	prefork := good()
	prefork.MaxConnectionsPerChild = 7
	none := -1 // is not implemented
	for _, tc := range []struct {
		code            QueryCode
		prefork, worker int
	}{
		{QueryMaxDaemonUsed, 256, 16},
		{QueryIsThreaded, NotSupported, Static},
		{QueryIsForked, Dynamic, Dynamic},
		{QueryHardLimitDaemons, 512, 32},
		{QueryHardLimitThreads, 1, ThreadsPerChildMax},
		{QueryMaxThreads, 1, 25},
		{QueryMinSpareDaemons, 5, 0},
		{QueryMinSpareThreads, 0, 75},
		{QueryMaxSpareDaemons, 10, 0},
		{QueryMaxSpareThreads, 0, 250},
		{QueryMaxRequestsDaemon, 7, 0},
		{QueryMaxDaemons, 256, 16},
		{QueryMPMState, int(PhaseRunning), int(PhaseRunning)},
		{QueryIsAsync, none, none},
		{QueryGeneration, 9, 9},
		{QueryHasSerf, none, none},
		{QueryCanSuspend, none, none},
		{QueryCanPoll, none, none},
		{QueryCanWaitIO, none, none},
		{0, none, none},
		{-1, none, none},
		{20, none, none},
	} {
		for o, want := range map[*Options]int{prefork: tc.prefork, worker(): tc.worker} {
			got, err := Facts{Options: o, Phase: PhaseRunning, Generation: 9}.Query(tc.code)
			if want == none {
				if !errors.Is(err, ErrNotImplemented) {
					t.Errorf("%s, question %d: %d, %v; want not implemented", o.Model, tc.code, got, err)
				}
			} else if got != want || err != nil {
				t.Errorf("%s, question %d: %d, %v; want %d", o.Model, tc.code, got, err, want)
			}
		}
	}
}

func TestWithoutAModelOnlyThePhaseIsKnown(t *testing.T) {
	if got, err := new(Facts).Query(QueryMPMState); got != int(PhaseStarting) || err != nil {
		t.Errorf("the phase is %d, %v", got, err)
	}
	if _, err := new(Facts).Query(QueryMaxDaemons); !errors.Is(err, ErrNoModel) {
		t.Errorf("a question without a model: %v", err)
	}
	if _, err := new(Facts).Query(99); !errors.Is(err, ErrNotImplemented) {
		t.Errorf("an unknown question without a model: %v", err)
	}
}

func TestAModelSaysWhatItCan(t *testing.T) {
	for _, m := range []Model{"", Prefork} {
		if m.String() != "prefork" || !m.Known() || m.Threaded() || m.TimedCallbacks() {
			t.Errorf("model %q: %s", string(m), m)
		}
	}
	if m := Worker; m.String() != "worker" || !m.Known() || !m.Threaded() || !m.TimedCallbacks() {
		t.Errorf("model %q: %s", string(m), m)
	}
	if Model("event").Known() {
		t.Error("a model that is not there is known")
	}
}
