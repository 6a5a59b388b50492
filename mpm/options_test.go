package mpm

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func good() *Options {
	return &Options{
		Listeners:    []Listener{{Name: "a", Address: "127.0.0.1:80", Backlog: 1}},
		StartServers: 5, MinSpareServers: 5, MaxSpareServers: 10, MaxRequestWorkers: 256, ServerLimit: 512,
		StartTimeout: time.Second, CandidateTimeout: time.Second, KillTimeout: time.Second,
	}
}

func TestValidateNamesEveryFaultByItsKey(t *testing.T) {
	if err := good().Validate(); err != nil {
		t.Fatalf("good options: %v", err)
	}
	for _, tc := range []struct {
		key   string
		spoil func(*Options)
	}{
		{"listen", func(o *Options) { o.Listeners = nil }},
		{"start_servers", func(o *Options) { o.StartServers = 0 }},
		{"start_servers", func(o *Options) { o.StartServers = 257 }},
		{"min_spare_servers", func(o *Options) { o.MinSpareServers = 0 }},
		{"max_spare_servers", func(o *Options) { o.MaxSpareServers = 5 }},
		{"max_request_workers", func(o *Options) { o.Buckets = 257 }},
		{"listen_cores_buckets_ratio", func(o *Options) { o.Buckets = -1 }},
		{"max_request_workers", func(o *Options) { o.MaxRequestWorkers, o.StartServers = 0, 0 }},
		{"server_limit", func(o *Options) { o.ServerLimit = 255 }},
		{"server_limit", func(o *Options) { o.ServerLimit = ServerLimitMax + 1 }},
		{"max_connections_per_child", func(o *Options) { o.MaxConnectionsPerChild = -1 }},
		{"start_timeout", func(o *Options) { o.StartTimeout = 0 }},
		{"candidate_timeout", func(o *Options) { o.CandidateTimeout = -time.Second }},
		{"graceful_restart_timeout", func(o *Options) { o.GracefulRestartTimeout = -1 }},
		{"graceful_shutdown_timeout", func(o *Options) { o.GracefulShutdownTimeout = -1 }},
		{"max_old_generations", func(o *Options) { o.MaxOldGenerations = -1 }},
		{"prove_deaths", func(o *Options) { o.ProveDeaths = -1 }},
		{"prove_time", func(o *Options) { o.ProveTime = -1 }},
		{"kill_timeout", func(o *Options) { o.KillTimeout = 0 }},
		{"model", func(o *Options) { o.Model = "event" }},
		{"threads_per_child", func(o *Options) { o.ThreadsPerChild = 2 }},
		{"min_spare_threads", func(o *Options) { o.MinSpareThreads = 2 }},
		{"max_spare_threads", func(o *Options) { o.MaxSpareThreads = 2 }},
		{"pid_file", func(o *Options) { o.PIDFile = "pid" }},
		{"error_log", func(o *Options) { o.ErrorLog = "logs/error" }},
		{"codes", func(o *Options) { o.Codes = []Code{{Name: "a"}, {Name: "a"}} }},
		{"codes", func(o *Options) { o.Codes = []Code{{}} }},
		{"codes", func(o *Options) { o.Codes = []Code{{Name: "a", QuarantineAfter: -1}} }},
		{"codes", func(o *Options) {
			o.Codes = []Code{{Name: "a", QuarantineAfter: QuarantineAfterMax + 1, QuarantineWindow: 1}}
		}},
		{"codes", func(o *Options) { o.Codes = []Code{{Name: "a", QuarantineAfter: 1}} }},
		{"logs", func(o *Options) { o.Logs = []Log{{Name: "access", Path: StandardError}, {Name: "access", Path: ""}} }},
	} {
		o := good()
		tc.spoil(o)
		err := o.Validate()
		var fault *Error
		if !errors.As(err, &fault) || !strings.Contains(err.Error(), tc.key+": ") {
			t.Errorf("%s: error %v does not name the key", tc.key, err)
		}
	}
}

func TestValidateCountsThreadsOfWorkers(t *testing.T) {
	if err := worker().Validate(); err != nil {
		t.Fatalf("good options: %v", err)
	}
	for _, tc := range []struct {
		key   string
		spoil func(*Options)
	}{
		{"threads_per_child", func(o *Options) { o.ThreadsPerChild = 0 }},
		{"threads_per_child", func(o *Options) { o.ThreadsPerChild = ThreadsPerChildMax + 1 }},
		{"min_spare_servers", func(o *Options) { o.MinSpareServers = 5 }},
		{"max_spare_servers", func(o *Options) { o.MaxSpareServers = 5 }},
		{"min_spare_threads", func(o *Options) { o.MinSpareThreads = 0 }},
		{"max_spare_threads", func(o *Options) { o.MaxSpareThreads = 99 }},
		{"max_request_workers", func(o *Options) { o.MaxRequestWorkers = 399 }},
		{"max_request_workers", func(o *Options) { o.MaxRequestWorkers = 0 }},
		{"start_servers", func(o *Options) { o.StartServers = 17 }},
		{"server_limit", func(o *Options) { o.ServerLimit = 15 }},
		{"server_limit", func(o *Options) { o.ServerLimit = ServerLimitMax + 1 }},
	} {
		o := worker()
		tc.spoil(o)
		err := o.Validate()
		var fault *Error
		if !errors.As(err, &fault) || fault.Key != tc.key {
			t.Errorf("%s: error %v does not name the key", tc.key, err)
		}
	}
}

func TestValidateReportsAllFaultsAtOnce(t *testing.T) {
	err := new(Options).Validate()
	if n := len(strings.Split(err.Error(), "\n")); n < 6 {
		t.Errorf("%d faults in empty options, want them all:\n%v", n, err)
	}
}

func TestEveryStateHasAName(t *testing.T) {
	seen := make(map[string]bool)
	for s := StateDead; s <= StateIdleKill; s++ {
		if name := s.String(); strings.HasPrefix(name, "state(") || seen[name] {
			t.Errorf("state %d is called %q", uint32(s), name)
		} else {
			seen[name] = true
		}
		if letter := string(s.Letter()); letter == "?" || seen[letter] {
			t.Errorf("state %d has the letter %s", uint32(s), letter)
		} else {
			seen[letter] = true
		}
	}
	if got := State(99).Letter(); got != '?' {
		t.Errorf("an unknown state has the letter %c", got)
	}
	if got := State(99).String(); got != "state(99)" {
		t.Errorf("an unknown state is called %q", got)
	}
}
