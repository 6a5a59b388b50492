package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/apphost/apphost/cmd/apphost/internal/control"
	"github.com/apphost/apphost/mpm/prefork"
)

// handedOver is what this package hands to another build of the program in an
// upgrade, beside what the master does. It is part of the contract that
// mpm/prefork/takeover.go describes: fields may be added.
type handedOver struct {
	// Config is the path of the configuration file.
	Config string `json:"config"`
	// Detached says that the server has no terminal and nobody who reads its
	// standard error.
	Detached bool           `json:"detached,omitempty"`
	Control  control.Handed `json:"control"`
}

// handingOver returns what another build needs to be this server.
func handingOver(server *control.Server, run masterRun) func() (json.RawMessage, []int, func(), error) {
	return func() (json.RawMessage, []int, func(), error) {
		handed, undo, err := server.Export()
		if err != nil {
			return nil, nil, nil, err
		}
		raw, err := json.Marshal(handedOver{Config: run.configPath, Detached: run.detached, Control: handed})
		if err != nil {
			undo()
			return nil, nil, nil, fmt.Errorf("encode state: %w", err)
		}
		return raw, handed.Descriptors(), undo, nil
	}
}

func decodeHandedOver(t *prefork.Takeover) (h handedOver, err error) {
	if err := json.Unmarshal(t.Owner, &h); err != nil {
		return h, fmt.Errorf("decode state: %w", err)
	}
	if !filepath.IsAbs(h.Config) {
		return h, fmt.Errorf("decode state: %q is no absolute path of a configuration", h.Config)
	}
	return h, nil
}

// resumeMaster goes on as the server that another build handed over.
func resumeMaster(t *prefork.Takeover) error {
	h, err := decodeHandedOver(t)
	if err != nil {
		return t.Refuse(err)
	}
	server, err := control.Resume(h.Control)
	if err != nil {
		return t.Refuse(err)
	}
	return serve(server, masterRun{configPath: h.Config, detached: h.Detached, takeover: t})
}

// runTakeover is the role of a program that this process was turned into.
func runTakeover(t *prefork.Takeover, err error) int {
	if err == nil {
		err = resumeMaster(t)
	}
	if err != nil {
		printLines(os.Stderr, err)
		return exitFailed
	}
	return exitDone
}

// runSuccessor is the role of a process that checks whether this build can take
// over from another one that runs.
func runSuccessor(args []string) int {
	prefork.Prepare("apphost-check")
	c, t, err := prefork.OpenSuccessor(args, os.Getenv, version)
	if err != nil {
		fmt.Fprintln(os.Stderr, "apphost:", err)
		return exitFailed
	}
	if _, err = decodeHandedOver(t); err == nil {
		err = tryOut(c)
	}
	if err != nil {
		c.Fail(err)
		return exitFailed
	}
	return exitDone
}

// programPath is where this program was started from, by the name that was
// used for it: what is there by now may be another build.
func programPath() string {
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		path, _ = os.Executable() // if not that either, the command has to name one
	}
	return path
}

// programArgs are this program's arguments, from a folder of no importance.
func programArgs() []string { return append([]string{programPath()}, os.Args[1:]...) }

// upgradeReport is the answer to a request for an upgrade.
type upgradeReport struct {
	Version string
	prefork.Result
}

func (q *requests) upgrade(ctx context.Context, r control.Request) any {
	var result prefork.Result
	var err error
	if r.Resumed {
		result, err = q.master.AwaitUpgrade(ctx)
	} else {
		path := r.Binary
		if path == "" {
			path = q.program
		}
		result, err = q.master.Upgrade(ctx, path)
	}
	if err != nil {
		return ended
	}
	return upgradeReport{version, result}
}

func upgradeCommand(configPath *string, stdout io.Writer) *cobra.Command {
	var binary string
	cmd := &cobra.Command{
		Use:   "upgrade -c FILE",
		Short: "Let another build of the program take over the running server",
		Long: `upgrade asks the server that was started with the same configuration file to
execute another build of itself: the one that is now at the path of the build
that runs, or the one that --binary names. The server keeps its process number, its
listening sockets and what it serves; the new build checks the configuration,
every plugin and that it can take over, takes over, and starts a new
generation, as a reload does. It returns when that serves every new connection
(exit status 0), or prints why it does not (exit status 1); then the server
goes on as before, with the build it had.`,
		Args: noArgs,
		RunE: onNamed(configPath, func(path string) error { return upgrade(path, binary, stdout) }),
	}
	cmd.Flags().StringVar(&binary, "binary", "", "the `PATH` of the new build")
	return cmd
}

// upgrade asks the running server to upgrade and says how it went.
func upgrade(configPath, binary string, stdout io.Writer) error {
	if binary != "" {
		absolute, err := filepath.Abs(binary)
		if err != nil {
			return fmt.Errorf("find binary: %w", err)
		}
		binary = absolute
	}
	var r upgradeReport
	if err := control.AskFor(context.Background(), configPath, control.Request{Verb: control.Upgrade, Binary: binary}, &r); err != nil {
		return err
	}
	printWarnings(stdout, r.Warnings)
	if len(r.Errors) > 0 {
		lines := errorsOf(r.Result)
		if r.Generation > 0 {
			lines = append(lines, fmt.Errorf("not upgraded; apphost %s serves on, generation %d", strings.TrimSpace(r.Version), r.Generation))
		}
		return errors.Join(lines...)
	}
	_, err := fmt.Fprintf(stdout, "apphost %s serves, generation %d\n", r.Version, r.Generation)
	return err
}
