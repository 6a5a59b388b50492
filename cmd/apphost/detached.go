package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/apphost/apphost/mpm/prefork"
)

// start starts a server that detaches itself, and waits until it serves.
func start(configPath string, stdout, stderr io.Writer) error {
	launched, err := prefork.Launch([]string{"-c", configPath}, os.Environ())
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := launched.Wait(ctx, stderr); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "started, pid %d\n", launched.PID)
	return err
}

// runDetached is the role of a master that detached itself.
func runDetached(args []string) int {
	serves, err := prefork.Detached()
	if err == nil && (len(args) != 3 || args[1] != "-c") {
		err = errors.New("start master: the arguments are not those of a master; use 'apphost -k start -c FILE'")
	}
	if err == nil {
		err = runMaster(masterRun{configPath: args[2], detached: true, serves: serves})
	}
	if err != nil {
		printLines(os.Stderr, err)
		return exitFailed
	}
	return exitDone
}
