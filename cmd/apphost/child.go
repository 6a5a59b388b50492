package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/apphost/apphost/cmd/apphost/internal/config"
	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/mpm/prefork"
)

// runChild is the child's role: load the generation's plugins and serve
// connections until told to leave.
func runChild(args []string) int {
	prefork.Prepare("apphost-child")
	c, err := prefork.OpenChild(args, os.Getenv)
	if err != nil {
		if !errors.Is(err, prefork.ErrTold) {
			fmt.Fprintln(os.Stderr, "apphost:", err)
		}
		return prefork.ExitFatal
	}
	// Loading makes much garbage once. Collecting it meanwhile takes longer
	// than collecting it all at the end and giving the memory back.
	collect := debug.SetGCPercent(-1)
	h, err := openHost(c)
	if err != nil {
		return c.Fail(err)
	}
	debug.SetGCPercent(collect)
	limitHeap(c.Options.Privileges.Limits.MemoryBytes)
	debug.FreeOSMemory()
	err = c.Serve(context.Background(), h, runtime.UnlockOSThread)
	if err != nil {
		return c.Fail(err)
	}
	if c.OutOfMemory() {
		h.log.Warn("a child has used up its memory; another one takes its place", "slot", c.Slot, "generation", c.Generation, "pid", os.Getpid(),
			"limit_memory", c.Options.Privileges.Limits.MemoryBytes)
	}
	return prefork.ExitOK
}

// limitHeap keeps the Go runtime in half of the memory that a child may have: the
// rest is for guests. An operator's own setting counts.
func limitHeap(bytes uint64) {
	if _, given := os.LookupEnv("GOMEMLIMIT"); !given && bytes > 0 {
		debug.SetMemoryLimit(int64(bytes / 2))
	}
}

// loaded is a host that is ready to serve, and its log.
type loaded struct {
	*host.Host
	log *slog.Logger
}

func openHost(c *prefork.Child) (*loaded, error) {
	hostConfig, log, err := decodeGeneration(c.Image)
	if err != nil {
		return nil, err
	}
	hostConfig.Slot, hostConfig.Generation, hostConfig.Quarantine = c.Slot, c.Generation, c
	hostConfig.Threads = c.Options.Threads()
	hostConfig.Logger = newLogger(c.ErrorLog(), log)
	if access := c.Log(config.AccessLogName); access != nil {
		hostConfig.AccessLog, hostConfig.AccessFormat = access, log.AccessFormat
	}
	status, err := decodeStatus(c.Image)
	if err != nil {
		return nil, err
	}
	mountStatus(&hostConfig, status, c.Snapshot, hostConfig.Logger)
	h, err := host.New(context.Background(), hostConfig)
	if err != nil {
		return nil, err
	}
	return &loaded{h, hostConfig.Logger}, nil
}
