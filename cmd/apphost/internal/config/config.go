package config

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/host/accesslog"
	"github.com/apphost/apphost/mpm"
)

// Config is what the configuration file and the plugin folder ask for,
// checked.
type Config struct {
	Log Log
	// MPM passes mpm.Options.Validate.
	MPM mpm.Options
	// Host has its plugins with their bytes, listeners, routes and the cache
	// folder. Slot, Generation, Logger and Progress are left zero: they
	// belong to the process that serves.
	Host   host.Config
	Status Status
	// Warnings are one line each, in the order of the file: old key names,
	// settings without effect.
	Warnings []string

	file    *document            // nil without a file
	shipped map[string]*document // the NAME.toml of each plugin that has one
}

// Log says what is logged and how.
type Log struct {
	// Level is the least level that is logged.
	Level slog.Level
	// Format is "text", "json", or "auto": text on a terminal, else JSON.
	Format string
	// AccessFormat is that of the access log, as accesslog.Config has it. Where
	// it goes is in mpm.Options.Logs.
	AccessFormat string
}

// Status says where the status page is and who sees it.
type Status struct {
	// Path is that of the page on every http listener; "" is no page.
	Path string
	// Allow are the addresses that see it, AllowUnix says that clients of Unix
	// sockets do.
	Allow     []netip.Prefix
	AllowUnix bool
}

// The limits and defaults that belong to the file rather than to mpm.
const (
	// ThreadsPerChildDefault is httpd's, too: as many connections may be lost
	// with a child, so that it is not larger than it has to be.
	ThreadsPerChildDefault = 25
	// The defaults of the worker model, in children; httpd's, too.
	workersStart    = 3
	workersSpareMin = 3
	workersSpareMax = 10
	workersMax      = 16

	// BacklogDefault is httpd's, too.
	BacklogDefault = 511
	backlogMax     = 65_535

	// CPUTimeoutDefault bounds how long a plugin runs without calling the host.
	CPUTimeoutDefault = 10 * time.Second
	cpuTimeoutMin     = 200 * time.Millisecond
	// timeoutMin is the least for a plugin's timeout, whose end is that late in the
	// prefork model.
	timeoutMin = 50 * time.Millisecond
	// warmUpCallsMax is far more than any guest needs to make what it makes once.
	warmUpCallsMax = 1000
	// QuarantineAfterDefault is never: see RATIONALE.md.
	QuarantineAfterDefault  = 0
	QuarantineWindowDefault = time.Minute
	quarantineWindowMin     = time.Second
	quarantineWindowMax     = 24 * time.Hour

	// TimeoutDefault bounds reads and writes on tcp, like httpd's Timeout.
	TimeoutDefault = 60 * time.Second

	// MemoryLimitDefault is 64 MiB: ample for a handler, and 256 children
	// that all reach it still fit a 16 GiB machine.
	MemoryLimitDefault = 64 << 20
	memoryLimitMin     = 64 << 10 // one wasm page
	memoryLimitMax     = 4 << 30  // what 32 bits address

	coreMin   = 64 << 10  // with less the kernel leaves nothing of use
	memoryMin = 256 << 20 // mpm's
	sizeMax   = 1 << 60   // which is as good as no limit

	fileBytesMax = 1 << 20 // a configuration file
	depthMax     = 64      // tables and lists in each other: paths grow with it

	// WasmBytesMax is the most a plugin's file may have.
	WasmBytesMax = 256 << 20
)

// Default returns the value of every setting that the file leaves out, for the
// prefork model. It has no listener, as none is the default; and no cache folder, because that
// comes from the environment.
func Default() *Config {
	return &Config{
		Host:   host.Config{HTTP: defaultHTTP()},
		Log:    Log{Level: slog.LevelInfo, Format: "auto", AccessFormat: accesslog.Combined},
		Status: Status{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, AllowUnix: true},
		MPM: mpm.Options{
			Model:                  mpm.Prefork,
			StartServers:           5,
			MinSpareServers:        5,
			MaxSpareServers:        10,
			MaxRequestWorkers:      256,
			ServerLimit:            512,
			MaxConnectionsPerChild: 0,
			StartTimeout:           30 * time.Second,
			CandidateTimeout:       30 * time.Second,
			GracefulRestartTimeout: 0,
			MaxOldGenerations:      16,
			ProveTime:              10 * time.Second,
			ProveDeaths:            3,
			KillTimeout:            5 * time.Second,
			Batch:                  true,
		},
	}
}
