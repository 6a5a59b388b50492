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

func logsCommand(configPath *string, stdout io.Writer) *cobra.Command {
	logs := &cobra.Command{
		Use:   "logs",
		Short: "Reopen the log files of the running server",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("logs takes a command: reopen")}
		},
	}
	logs.AddCommand(&cobra.Command{
		Use:   "reopen -c FILE",
		Short: "Reopen the log files, after they were renamed",
		Long: `reopen has the server that was started with the same configuration file open
its log files anew by their names. It returns when no process writes to the
files of before any longer (exit status 0), so that they can be compressed
or moved away. No line is lost, and nothing else changes.

If a file cannot be opened, all stay as they are; if a child does not change
over within 5 s, because its plugin keeps the processor to itself, it is named
(exit status 1, both).`,
		Args: noArgs,
		RunE: onNamed(configPath, func(path string) error { return reopenLogs(path, stdout) }),
	})
	return logs
}

func reopenLogs(configPath string, stdout io.Writer) error {
	var r prefork.Result
	if err := control.Ask(context.Background(), configPath, control.ReopenLogs, &r); err != nil {
		return err
	}
	if len(r.Errors) > 0 {
		return errors.Join(errorsOf(r)...)
	}
	_, err := fmt.Fprintln(stdout, "log files reopened")
	return err
}
