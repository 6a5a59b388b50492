package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/apphost/apphost/cmd/apphost/internal/control"
	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/prefork"
)

// statusReport is the answer to a status request.
type statusReport struct {
	Version string `json:"version"`
	Config  string `json:"config"`
	prefork.Snapshot
}

func statusCommand(configPath *string, stdout io.Writer) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status -c FILE",
		Short: "Show how the running server and its children are",
		Long: `status asks the server that was started with the same configuration file how
it is: its generations, listeners and children, and how the last reload went.
If no such server runs, it says so (exit status 1).

The scoreboard has a letter for each slot, with model "worker" for each thread
of each slot:
  _ ready   S starting   R reading   W writing   K keep-alive   L logging
  C closing   G retired, finishing what it serves   I about to leave   . no child

With --json it prints all of it as one JSON object. Later versions may add
keys; those that are there keep their name and meaning. Times are RFC 3339.
  version, config, pid, state, started, uptime_seconds
  upgraded       when this build took over from another; null if none did
  generations    number, state (proving, serving, draining, retired), children
  listeners      name, address
  buckets        how many the serving generation has
  idle, busy     children of the serving generation
  scoreboard     a letter for each slot
  slots          slot, bucket, pid, generation, state, letter, child_connections,
                 slot_connections, age_seconds
  spawning       failures (in a row), paused_seconds, full, slowed
  limits         near, reached, slots_full: how often children were short
  last_reload    time, generation, errors, rolled_back_from, rolled_back_to;
                 null before the first`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			path, err := namedConfig(*configPath)
			if err != nil {
				return err
			}
			return status(path, asJSON, stdout)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, for programs")
	return cmd
}

func status(configPath string, asJSON bool, stdout io.Writer) error {
	var raw json.RawMessage
	if err := control.Ask(context.Background(), configPath, control.Status, &raw); err != nil {
		return err
	}
	var refused prefork.Result
	if json.Unmarshal(raw, &refused) == nil && len(refused.Errors) > 0 {
		return errors.Join(errorsOf(refused)...)
	}
	var out bytes.Buffer
	if asJSON {
		if err := json.Indent(&out, raw, "", "  "); err != nil {
			return fmt.Errorf("read the server's answer: %w", err)
		}
		out.WriteByte('\n')
	} else {
		var s statusReport
		if err := json.Unmarshal(raw, &s); err != nil {
			return fmt.Errorf("read the server's answer: %w", err)
		}
		writeStatus(&out, &s)
	}
	_, err := stdout.Write(out.Bytes())
	return err
}

// writeStatus writes a status for people.
func writeStatus(w *bytes.Buffer, s *statusReport) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(table, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("apphost", "%s, pid %d, %s", s.Version, s.PID, s.State)
	row("configuration", "%s", s.Config)
	row("started", "%s, %s ago", s.Started.Format(time.DateTime), seconds(s.UptimeSeconds))
	if s.Upgraded != nil {
		row("upgraded", "%s", s.Upgraded.Format(time.DateTime))
	}
	for _, l := range s.Listeners {
		row("listening", "%s (%s)", l.Address, l.Name)
	}
	for _, g := range s.Generations {
		row("generation", "%d, %s, children: %d", g.Number, g.State, g.Children)
	}
	counted := "children"
	if mpm.Model(s.Model).Threaded() {
		counted = "threads"
	}
	row(counted, "%d idle, %d busy", s.Idle, s.Busy)
	switch p := s.Spawning; {
	case p.PausedSeconds > 0:
		row("new children", "none for %s: %d in a row died young or could not be started", seconds(p.PausedSeconds), p.Failures)
	case p.Failures > 0:
		row("new children", "%d in a row died young or could not be started", p.Failures)
	case p.Full:
		row("new children", "none: mpm.max_request_workers or mpm.server_limit is reached")
	}
	if l := s.Limits; l != (prefork.LimitStatus{}) {
		row("children short", "near mpm.max_request_workers %d times, at it %d times, without a slot %d times", l.Near, l.Reached, l.SlotsFull)
	}
	if r := s.LastReload; r != nil {
		outcome := fmt.Sprintf("done, generation %d", r.Generation)
		switch {
		case r.RolledBackFrom > 0:
			outcome = fmt.Sprintf("rolled back, generation %d runs what %d ran", r.Generation, r.RolledBackTo)
		case len(r.Errors) > 0:
			outcome = fmt.Sprintf("failed, generation %d served on", r.Generation)
		}
		row("last reload", "%s, %s", r.Time.Format(time.DateTime), outcome)
		for _, e := range r.Errors {
			row("", "%s", e)
		}
	}
	_ = table.Flush() // into memory
	writeSlots(w, s)
}

// lettersPerLine is how the scoreboard is shown, as it is in httpd's.
const lettersPerLine = 64

func writeSlots(w *bytes.Buffer, s *statusReport) {
	if s.Scoreboard != "" {
		w.WriteByte('\n')
	}
	for rest := s.Scoreboard; rest != ""; {
		n := min(lettersPerLine, len(rest))
		fmt.Fprintln(w, rest[:n])
		rest = rest[n:]
	}
	if len(s.Slots) == 0 {
		return
	}
	w.WriteByte('\n')
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head, bucket := "SLOT", func(prefork.SlotStatus) string { return "" }
	if slices.ContainsFunc(s.Slots, func(c prefork.SlotStatus) bool { return c.Bucket > 0 }) || s.Buckets > 1 {
		head, bucket = "SLOT\tBUCKET", func(c prefork.SlotStatus) string { return fmt.Sprintf("\t%d", c.Bucket) }
	}
	fmt.Fprintln(table, strings.Join([]string{head, "PID", "GENERATION", "STATE", "SERVED", "BY SLOT", "AGE"}, "\t"))
	for _, c := range s.Slots {
		fmt.Fprintf(table, "%d%s\t%d\t%d\t%s %s\t%d\t%d\t%s\n", c.Slot, bucket(c), c.PID, c.Generation,
			c.Letter, c.State, c.ChildConnections, c.SlotConnections, seconds(c.AgeSeconds))
	}
	_ = table.Flush()
}

// seconds shows a time as people do: 1h2m3s.
func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}
