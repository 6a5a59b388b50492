package main

import (
	"context"
	"errors"
	"fmt"
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
	// than collecting it all at the end and giving the memory back: a Go guest
	// of 4 MB is ready after 86 ms instead of 116 (bench/start, one child).
	collect := debug.SetGCPercent(-1)
	h, err := openHost(c)
	if err != nil {
		return c.Fail(err)
	}
	debug.SetGCPercent(collect)
	debug.FreeOSMemory()
	err = c.Serve(context.Background(), h, runtime.UnlockOSThread)
	if err != nil {
		return c.Fail(err)
	}
	return prefork.ExitOK
}

func openHost(c *prefork.Child) (*host.Host, error) {
	hostConfig, log, err := decodeGeneration(c.Image)
	if err != nil {
		return nil, err
	}
	hostConfig.Slot, hostConfig.Generation, hostConfig.Quarantine = c.Slot, c.Generation, c
	hostConfig.Logger = newLogger(c.ErrorLog(), log)
	if access := c.Log(config.AccessLogName); access != nil {
		hostConfig.AccessLog, hostConfig.AccessFormat = access, log.AccessFormat
	}
	status, err := decodeStatus(c.Image)
	if err != nil {
		return nil, err
	}
	mountStatus(&hostConfig, status, c.Snapshot, hostConfig.Logger)
	return host.New(context.Background(), hostConfig)
}
