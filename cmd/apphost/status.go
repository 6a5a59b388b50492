package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/apphost/apphost/cmd/apphost/internal/control"
	"github.com/apphost/apphost/cmd/apphost/internal/statuspage"
	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/prefork"
)

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
  modules        of the plugins of the serving generation: name, abi, bytes,
                 instances (how one of a run becomes one for the next; the words
                 are in docs/tuning.md)
  buckets        how many the serving generation has
  limits         near, reached, slots_full: how often children were short
  idle, busy     threads of the serving generation
  scoreboard     a letter for each thread of each slot
  slots          slot, bucket, pid, generation, state, letter, child_connections,
                 slot_connections, age_seconds, child_requests, slot_requests,
                 child_bytes_sent, slot_bytes_sent, cpu_seconds, threads (a
                 letter for each)
    workers      threads that have served: thread, state, letter, connections,
                 requests, bytes_sent, since_seconds (the last request began),
                 took_seconds, client, listener, request, protocol
  spawning       failures (in a row), paused_seconds, full, slowed
  plugins        of the serving generation: name, failures, quarantined (since
                 when it is out of service; null if it is not)
  last_reload    time, generation, errors, rolled_back_from, rolled_back_to;
                 null before the first
  model          prefork or worker
  graceful       threads that finish what they serve, and leave
  totals         connections, requests, bytes_sent, duration_seconds, of all
                 children since the start; one to a tcp listener is a request
  cpu            user_seconds, system_seconds, and of processes that have ended
                 ended_user_seconds, ended_system_seconds
  load           of the machine, over 1, 5 and 15 minutes`,
		Args: noArgs,
		RunE: onNamed(configPath, func(path string) error { return status(path, asJSON, stdout) }),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, for programs")
	return cmd
}

// statusPatience is how long an answer may take that costs a master
// microseconds.
const statusPatience = 10 * time.Second

func status(configPath string, asJSON bool, stdout io.Writer) error {
	var raw json.RawMessage
	ctx, cancel := context.WithTimeout(context.Background(), statusPatience)
	defer cancel()
	err := control.Ask(ctx, configPath, control.Status, &raw)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the server does not answer within %s; is its master stopped, or the machine overloaded?", statusPatience)
	case err != nil:
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
		var s statuspage.Report
		if err := json.Unmarshal(raw, &s); err != nil {
			return fmt.Errorf("read the server's answer: %w", err)
		}
		writeStatus(&out, &s)
	}
	_, err = stdout.Write(out.Bytes())
	return err
}

// writeStatus writes a status for people.
func writeStatus(w *bytes.Buffer, s *statuspage.Report) {
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
		if l.Name == l.Address {
			row("listening", "%s", l.Address)
			continue
		}
		row("listening", "%s (%s)", l.Address, l.Name)
	}
	for _, p := range s.Modules {
		row("plugin", "%s (%s, %s), instances: %s", p.Name, p.ABI, sizeText(p.Bytes), p.Instances)
	}
	for _, g := range s.Generations {
		row("generation", "%d, %s, children: %d", g.Number, g.State, g.Children)
	}
	counted := "children"
	if mpm.Model(s.Model).Threaded() {
		counted = "threads"
	}
	row(counted, "%d idle, %d busy, %d of older generations", s.Idle, s.Busy, s.Graceful)
	row("served", "%d connections, %d requests, %s sent", s.Totals.Connections, s.Totals.Requests, statuspage.Bytes(s.Totals.BytesSent))
	row("processor time", "%s, load %.2f %.2f %.2f", cpuText(s.CPU.UserSeconds+s.CPU.SystemSeconds+s.CPU.EndedUserSeconds+s.CPU.EndedSystemSeconds), s.Load[0], s.Load[1], s.Load[2])
	switch p := s.Spawning; {
	case p.PausedSeconds > 0:
		row("new children", "none for %s: %d in a row died young or could not be started", seconds(p.PausedSeconds), p.Failures)
	case p.Failures > 0:
		row("new children", "%d in a row died young or could not be started", p.Failures)
	case p.Full:
		row("new children", "none: mpm.max_request_workers or mpm.server_limit is reached")
	}
	pluginRows(row, s.Codes)
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

func writeSlots(w *bytes.Buffer, s *statuspage.Report) {
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
	writeChildren(w, s)
	writeServed(w, s)
}

// seconds shows a time as people do: 1h2m3s.
func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}
