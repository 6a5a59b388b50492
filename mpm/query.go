package mpm

import "errors"

// QueryCode is a question about the running model. The numbers are those of
// Apache httpd's ap_mpm_query (AP_MPMQ_...).
type QueryCode int

// The questions.
const (
	QueryMaxDaemonUsed     QueryCode = 1  // the most children that may run
	QueryIsThreaded        QueryCode = 2  // NotSupported, or Static in the worker model
	QueryIsForked          QueryCode = 3  // Dynamic: children come and go
	QueryHardLimitDaemons  QueryCode = 4  // Options.ServerLimit
	QueryHardLimitThreads  QueryCode = 5  // the most that a reload could make of threads per child
	QueryMaxThreads        QueryCode = 6  // threads per child
	QueryMinSpareDaemons   QueryCode = 7  // as configured; 0 in the worker model
	QueryMinSpareThreads   QueryCode = 8  // as configured; 0 in the prefork model
	QueryMaxSpareDaemons   QueryCode = 9  // as configured; 0 in the worker model
	QueryMaxSpareThreads   QueryCode = 10 // as configured; 0 in the prefork model
	QueryMaxRequestsDaemon QueryCode = 11 // Options.MaxConnectionsPerChild
	QueryMaxDaemons        QueryCode = 12 // the most children of the serving generation
	QueryMPMState          QueryCode = 13 // a Phase
	QueryIsAsync           QueryCode = 14 // not implemented
	QueryGeneration        QueryCode = 15 // the serving one's number, or in a child its own
	QueryHasSerf           QueryCode = 16 // not implemented
	QueryCanSuspend        QueryCode = 17 // not implemented
	QueryCanPoll           QueryCode = 18 // not implemented
	QueryCanWaitIO         QueryCode = 19 // not implemented
)

// The kinds of support that QueryIsThreaded and QueryIsForked tell.
const (
	NotSupported = 0
	Static       = 1 // as many as configured, always
	Dynamic      = 2 // as many as needed
)

// ErrNotImplemented answers a question or a wish that the model has nothing
// for, one with an unknown number included.
var ErrNotImplemented = errors.New("not implemented by this model")

// ErrNoModel answers a question that was asked before there is a model: no
// configuration has been read yet.
var ErrNoModel = errors.New("no model runs yet")

// Phase is where a process is in its life. The numbers are those of httpd's
// mpm_state.
type Phase int32

// The phases.
const (
	PhaseStarting Phase = 0 // before it serves
	PhaseRunning  Phase = 1
	PhaseStopping Phase = 2 // told to leave, and finishing what it serves
)

// Facts are what questions are answered from. The zero value is that of a
// process without a model.
type Facts struct {
	// Options are nil before there are any.
	Options    *Options
	Phase      Phase
	Generation uint64
}

// Query answers a question.
//
// # Errors
//
// ErrNotImplemented, and ErrNoModel if there are no options yet; the phase can
// be asked for even then.
func (f Facts) Query(code QueryCode) (int, error) {
	if code == QueryMPMState {
		return int(f.Phase), nil
	}
	if code < QueryMaxDaemonUsed || code > QueryGeneration || code == QueryIsAsync {
		return 0, ErrNotImplemented
	}
	o := f.Options
	if o == nil {
		return 0, ErrNoModel
	}
	if code == QueryGeneration {
		return int(f.Generation), nil
	}
	return o.query(code), nil
}

// query answers what the options alone say.
func (o *Options) query(code QueryCode) int {
	threaded := o.Model.Threaded()
	choose := func(worker, prefork int) int {
		if threaded {
			return worker
		}
		return prefork
	}
	switch code {
	case QueryIsThreaded:
		return choose(Static, NotSupported)
	case QueryIsForked:
		return Dynamic
	case QueryHardLimitDaemons:
		return o.ServerLimit
	case QueryHardLimitThreads:
		return choose(ThreadsPerChildMax, 1)
	case QueryMaxThreads:
		return o.Threads()
	case QueryMinSpareDaemons:
		return choose(0, o.MinSpareServers)
	case QueryMinSpareThreads:
		return choose(o.MinSpareThreads, 0)
	case QueryMaxSpareDaemons:
		return choose(0, o.MaxSpareServers)
	case QueryMaxSpareThreads:
		return choose(o.MaxSpareThreads, 0)
	case QueryMaxRequestsDaemon:
		return o.MaxConnectionsPerChild
	default: // QueryMaxDaemonUsed, QueryMaxDaemons
		return o.ChildrenMax()
	}
}
