package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/apphost/apphost/cmd/apphost/internal/control"
)

// version is the program's, as apphost -V prints it.
const version = "0.1.0-dev"

// usageError is a fault in the command line.
type usageError struct{ error }

// printedError is a failure that was reported already.
type printedError struct{}

func (printedError) Error() string { return "reported" }

// runCLI runs the command line args and returns the exit code.
func runCLI(args []string, stdout, stderr io.Writer) int {
	root := rootCommand(stdout, stderr)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, new(printedError)):
		return exitFailed
	case errors.As(err, &usage):
		printLines(stderr, usage)
		fmt.Fprintln(stderr, "Run 'apphost --help' for how it is used.")
		return exitUsage
	}
	printLines(stderr, err)
	return exitFailed
}

// printLines prints each line of an error as the program's own.
func printLines(w io.Writer, err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(w, "apphost: %s\n", strings.TrimRight(line, "\n"))
	}
}

const usageText = `apphost serves TCP and HTTP connections with WebAssembly plugins.

Put NAME.wasm into the plugin folder and start the server:

  apphost -c config.toml      serve in the foreground until SIGTERM or Ctrl-C
  apphost -k start -c config.toml
                              serve in the background; returns when it serves
  apphost -t -c config.toml   check the configuration and every plugin
  apphost reload -c config.toml
                              let a running server take up what changed
  apphost upgrade -c config.toml
                              let a new build of apphost take over, in place
  apphost status -c config.toml
                              show how the running server and its children are
  apphost stop -c config.toml
                              stop the running server; --graceful lets it serve
                              to its end what it serves
  apphost logs reopen -c config.toml
                              reopen the log files, after they were renamed
  apphost plugin release NAME -c config.toml
                              bring a plugin back that was quarantined

-k start, stop, graceful, graceful-stop and restart are there for who is used
to them. They are the start in the background, stop, reload, stop --graceful
and restart, but where no server runs the stops are done, and the other two
start one.

Signals to the server: TERM and INT stop it; QUIT, and WINCH unless it was
started on a terminal, stop it gracefully; USR1 reloads; HUP reloads and
ends the old children at once; USR2 reopens the log files.`

func rootCommand(stdout, stderr io.Writer) *cobra.Command {
	var configPath, order string
	var check, showVersion, alone bool
	root := &cobra.Command{
		Use:           "apphost -c FILE",
		Short:         "An application server for handlers compiled to WebAssembly",
		Long:          usageText,
		Args:          noArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := onlyOne(cmd); err != nil {
				return err
			}
			if showVersion {
				_, err := fmt.Fprintln(stdout, versionText())
				return err
			}
			path, err := namedConfig(configPath)
			if err != nil {
				return err
			}
			switch {
			case check:
				return checkConfig(path, configPath, stdout)
			case order != "":
				return steer(order, path, stdout, stderr)
			case alone:
				return runAlone(path)
			}
			return runMaster(masterRun{configPath: path})
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(&cobra.Command{Hidden: true})
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentFlags().StringVarP(&configPath, "config", "c", "", "the configuration `FILE`")
	root.Flags().BoolVarP(&check, "test", "t", false, "check configuration and plugins, print every error, and exit")
	root.Flags().BoolVarP(&showVersion, "version", "V", false, "print the version and exit")
	root.Flags().StringVarP(&order, "order", "k", "", "one of "+strings.Join(orders[:], ", ")+" as `ORDER`")
	root.Flags().BoolVarP(&alone, "debug", "X", false, "serve in this one process, one connection after the other, for a debugger")
	root.AddCommand(reloadCommand(&configPath, stdout), restartCommand(&configPath, stdout), upgradeCommand(&configPath, stdout),
		stopCommand(&configPath, stdout), statusCommand(&configPath, stdout), logsCommand(&configPath, stdout), pluginCommand(&configPath, stdout),
		routesCommand(&configPath, stdout), inspectCommand(stdout), importCommand(stdout, stderr))
	return root
}

// onlyOne refuses flags that each say what to do.
func onlyOne(cmd *cobra.Command) error {
	given := 0
	for _, name := range []string{"test", "version", "order", "debug"} {
		if cmd.Flags().Changed(name) {
			given++
		}
	}
	if given > 1 {
		return usageError{errors.New("-t, -V, -k and -X do not go together")}
	}
	return nil
}

func reloadCommand(configPath *string, stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "reload -c FILE",
		Short: "Let the running server take up the changed configuration and plugins",
		Long: `reload asks the server that was started with the same configuration file to
try out the configuration and plugins as they are now. It returns when the
new generation serves every new connection (exit status 0), or prints why
it cannot (exit status 1); then the server goes on as before.

If children of the new generation die soon after that (mpm.prove_deaths), what
served before serves again, which the log and 'apphost status' tell.`,
		Args: noArgs,
		RunE: onNamed(configPath, func(path string) error { return reload(path, control.Reload, stdout) }),
	}
}

func restartCommand(configPath *string, stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "restart -c FILE",
		Short: "As reload, and end at once what older children still serve",
		Long: `restart is reload, but as soon as the new generation serves, the children of
before are ended, whatever they serve. If the new generation cannot serve,
nothing is ended and nothing changes (exit status 1).`,
		Args: noArgs,
		RunE: onNamed(configPath, func(path string) error { return reload(path, control.Restart, stdout) }),
	}
}

// onNamed does something with the real path of the configuration file that was
// named.
func onNamed(configPath *string, do func(path string) error) func(*cobra.Command, []string) error {
	return func(*cobra.Command, []string) error {
		path, err := namedConfig(*configPath)
		if err != nil {
			return err
		}
		return do(path)
	}
}

// namedConfig is the real path of the configuration file that was named.
func namedConfig(path string) (string, error) {
	if path == "" {
		return "", usageError{errors.New("no configuration file is named; use -c FILE")}
	}
	return realPath(path)
}

// realPath is the one absolute name of a file, whichever link leads to it, so
// that server and commands mean the same file. The file need not be there: its
// server runs on without it.
func realPath(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find configuration file: %w", err)
	}
	real, err := filepath.EvalSymlinks(absolute)
	if errors.Is(err, fs.ErrNotExist) {
		// A server that runs with a file that was removed since can still be
		// asked. Whoever needs the file says that it is not there.
		if folder, err := filepath.EvalSymlinks(filepath.Dir(absolute)); err == nil {
			return filepath.Join(folder, filepath.Base(absolute)), nil
		}
	}
	if err != nil {
		return "", fmt.Errorf("find configuration file: %w", err)
	}
	return real, nil
}

func inspectCommand(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "inspect FILE.wasm",
		Short: "Tell which ABI a module speaks, and what is wrong with it",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("inspect takes one file, got %d", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return inspect(cmd.Context(), args[0], stdout)
		},
	}
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		hint := ""
		if strings.HasSuffix(args[0], ".toml") {
			hint = "; did you mean -c " + args[0] + "?"
		}
		return usageError{fmt.Errorf("unknown command or argument %q%s", args[0], hint)}
	}
	return nil
}

// versionText names the build: the version, the revision it was built from
// if the build knows it, and the toolchain.
func versionText() string {
	revision := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = " (" + s.Value[:min(12, len(s.Value))] + ")"
			}
		}
	}
	return fmt.Sprintf("apphost %s%s %s %s/%s", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
