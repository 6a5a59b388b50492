package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/apphost/apphost/cmd/apphost/internal/control"
	"github.com/apphost/apphost/mpm/prefork"
)

func stopCommand(configPath *string, stdout io.Writer) *cobra.Command {
	var graceful bool
	cmd := &cobra.Command{
		Use:   "stop -c FILE",
		Short: "Stop the running server",
		Long: `stop ends the server that was started with the same configuration file, and
returns when it has ended (exit status 0). It cuts off what is being served,
unless --graceful is given: then no new connection is taken, and those that
are there, or wait to be accepted, are served to their end, for at most
mpm.graceful_shutdown_timeout if that is set. A stop without --graceful
ends that at once.

If no such server runs, it says so (exit status 1).`,
		Args: noArgs,
		RunE: onNamed(configPath, func(path string) error { return stop(path, graceful, stdout) }),
	}
	cmd.Flags().BoolVar(&graceful, "graceful", false, "serve to its end what is being served")
	return cmd
}

func stop(configPath string, graceful bool, stdout io.Writer) error {
	verb := control.Stop
	if graceful {
		verb = control.GracefulStop
	}
	var r prefork.Result
	if err := control.Ask(context.Background(), configPath, verb, &r); err != nil {
		return err
	}
	if len(r.Errors) > 0 {
		return errors.Join(errorsOf(r)...)
	}
	_, err := fmt.Fprintln(stdout, "stopped")
	return err
}
