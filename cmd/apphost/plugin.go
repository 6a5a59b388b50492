package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/apphost/apphost/cmd/apphost/internal/control"
	"github.com/apphost/apphost/mpm/prefork"
)

func pluginCommand(configPath *string, stdout io.Writer) *cobra.Command {
	plugin := &cobra.Command{
		Use:   "plugin",
		Short: "Bring a plugin of the running server back",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("plugin takes a command: release")}
		},
	}
	plugin.AddCommand(&cobra.Command{
		Use:   "release NAME -c FILE",
		Short: "Bring a plugin back that was quarantined",
		Long: `release ends the quarantine of a plugin, which the server that was started with
the same configuration file has put it into after quarantine_after failures.
From then on it serves again, and its failures are counted from none. Which
plugins are quarantined, 'apphost status' tells. A reload releases all of them.

If there is no such plugin, or it is not quarantined, it says so (exit status 1).`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("plugin release takes the name of one plugin, got %d", len(args))}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := namedConfig(*configPath)
			if err != nil {
				return err
			}
			return releasePlugin(path, args[0], stdout)
		},
	})
	return plugin
}

func releasePlugin(configPath, name string, stdout io.Writer) error {
	var r prefork.Result
	if err := control.AskFor(context.Background(), configPath, control.Request{Verb: control.Release, Plugin: name}, &r); err != nil {
		return err
	}
	if len(r.Errors) > 0 {
		return errors.Join(errorsOf(r)...)
	}
	_, err := fmt.Fprintf(stdout, "plugin %s serves again\n", name)
	return err
}

// pluginRows says which plugins fail, if any do.
func pluginRows(row func(name, format string, args ...any), plugins []prefork.CodeStatus) {
	var failures []string
	for _, p := range plugins {
		if p.Failures > 0 {
			failures = append(failures, fmt.Sprintf("%s %d", p.Name, p.Failures))
		}
		if p.Quarantined != nil {
			row("quarantined", "%s since %s; 'apphost plugin release %s' or a reload brings it back", p.Name, p.Quarantined.Format(time.DateTime), p.Name)
		}
	}
	if len(failures) > 0 {
		row("plugin failures", "%s", strings.Join(failures, ", "))
	}
}
