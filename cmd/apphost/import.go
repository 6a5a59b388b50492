package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/apphost/apphost/cmd/apphost/internal/wagi"
)

func importCommand(stdout, stderr io.Writer) *cobra.Command {
	command := &cobra.Command{
		Use:   "import",
		Short: "Turn another server's configuration into one for apphost",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("import knows wagi, not %q", args[0])}
			}
			return usageError{errors.New("import what? wagi is known")}
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	command.AddCommand(importWAGICommand(stdout, stderr))
	return command
}

func importWAGICommand(stdout, stderr io.Writer) *cobra.Command {
	var o wagi.Options
	var dir string
	command := &cobra.Command{
		Use:   "wagi modules.toml",
		Short: "Turn a modules.toml of WAGI into config.toml and plugins",
		Long: `wagi prints the configuration that serves what a modules.toml of WAGI does, and
which modules to put into the plugin folder. With -o it writes both. What is
not the same, it says on standard error, a line each.

Relative paths in modules.toml are relative to the working folder, as with WAGI.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("import wagi takes one modules.toml, got %d arguments", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return importWAGI(cmd.Context(), args[0], o, dir, stdout, stderr)
		},
	}
	command.Flags().StringVarP(&dir, "output", "o", "", "the `DIR` to write config.toml and plugins to")
	command.Flags().StringVarP(&o.Listen, "listen", "l", "127.0.0.1:3000", "the `ADDRESS` to listen on, as WAGI's flag")
	command.Flags().StringArrayVarP(&o.Variables, "env", "e", nil, "`NAME=VALUE` for the environment of all modules, as WAGI's flag")
	command.Flags().StringArrayVar(&o.EnvFiles, "env-file", nil, "a `FILE` of NAME=VALUE lines, as WAGI's flag")
	return command
}

func importWAGI(ctx context.Context, modules string, o wagi.Options, dir string, stdout, stderr io.Writer) error {
	result, err := wagi.Import(ctx, modules, o)
	if err != nil {
		return err
	}
	for _, n := range result.Notes {
		fmt.Fprintf(stderr, "apphost: %s\n", n)
	}
	if dir == "" {
		for _, p := range result.Plugins {
			fmt.Fprintf(stdout, "# plugins/%s.wasm is a copy of %s\n", p.Name, p.From)
		}
		_, err := io.WriteString(stdout, result.Config)
		return err
	}
	if err := writeImport(result, dir); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "wrote %s and %d plugins; look at it, and try it out: apphost -t -c %[1]s\n",
		filepath.Join(dir, "config.toml"), len(result.Plugins))
	return err
}

// writeImport replaces no file.
func writeImport(result *wagi.Result, dir string) error {
	plugins := filepath.Join(dir, "plugins")
	if err := os.MkdirAll(plugins, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := writeNew(filepath.Join(dir, "config.toml"), []byte(result.Config)); err != nil {
		return err
	}
	for _, p := range result.Plugins {
		if err := writeNew(filepath.Join(plugins, p.Name+".wasm"), p.Wasm); err != nil {
			return err
		}
	}
	return nil
}

func writeNew(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
