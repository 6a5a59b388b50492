package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/apphost/apphost/cmd/apphost/internal/statuspage"
	"github.com/apphost/apphost/mpm/prefork"
)

// The widest that columns of the tables may be: a line has at most 100 columns.
const (
	clientColumns   = 28
	listenerColumns = 10
	requestColumns  = 27
)

// writeChildren writes a line for each child.
func writeChildren(w *bytes.Buffer, s *statuspage.Report) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	// Most servers have one bucket.
	head, bucket := "SLOT", func(*prefork.SlotStatus) string { return "" }
	if s.Buckets > 1 || slices.ContainsFunc(s.Slots, func(c prefork.SlotStatus) bool { return c.Bucket > 0 }) {
		head, bucket = "SLOT\tBUCKET", func(c *prefork.SlotStatus) string { return fmt.Sprint("\t", c.Bucket) }
	}
	fmt.Fprintln(table, strings.Join([]string{
		head, "PID", "GENERATION", "STATE", "SERVED", "BY SLOT", "REQUESTS", "SENT", "CPU", "AGE",
	}, "\t"))
	for i := range s.Slots {
		c := &s.Slots[i]
		fmt.Fprintf(table, "%d%s\t%d\t%d\t%s %s\t%d\t%d\t%d\t%s\t%s\t%s\n", c.Slot, bucket(c), c.PID, c.Generation, c.Letter, c.State,
			c.ChildConnections, c.SlotConnections, c.ChildRequests, statuspage.Bytes(c.ChildBytesSent), cpuText(c.CPUSeconds), seconds(c.AgeSeconds))
	}
	_ = table.Flush()
}

// writeServed writes a line for each thread that serves or has served.
func writeServed(w *bytes.Buffer, s *statuspage.Report) {
	var out bytes.Buffer
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join([]string{"SLOT", "", "BEGAN", "TOOK", "CLIENT", "LISTENER", "REQUEST"}, "\t"))
	served := false
	for i := range s.Slots {
		c := &s.Slots[i]
		for _, t := range c.Workers {
			served = true
			name := fmt.Sprint(c.Slot)
			if t.Thread > 0 || len(c.Workers) > 1 {
				name = fmt.Sprintf("%d-%d", c.Slot, t.Thread)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, t.Letter, short(t.SinceSeconds), took(t.TookSeconds),
				cut(t.Client, clientColumns), cut(t.Listener, listenerColumns), cut(t.Request, requestColumns))
		}
	}
	_ = table.Flush()
	if served {
		w.WriteByte('\n')
		for line := range strings.Lines(out.String()) {
			w.WriteString(strings.TrimRight(line, " \n") + "\n")
		}
	}
}

// cut makes what a client sent, or a hostile child wrote, safe for a terminal
// and short enough for a column.
func cut(s string, columns int) string {
	s = statuspage.Printable(s)
	if runes := []rune(s); len(runes) > columns {
		return string(runes[:columns-3]) + "..."
	}
	return s
}

func cpuText(s float64) string { return fmt.Sprintf("%.2fs", s) }

// took is empty for a request that still lasts.
func took(s float64) string {
	switch d := time.Duration(s * float64(time.Second)); {
	case d == 0:
		return ""
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return short(s)
}

// short shows a time with its two largest units, which is seven signs or fewer
// for 27 years.
func short(s float64) string {
	const minute, hour, day = 60, 60 * 60, 24 * 60 * 60
	switch n := int64(s); {
	case n < minute:
		return fmt.Sprintf("%ds", n)
	case n < hour:
		return fmt.Sprintf("%dm%ds", n/minute, n%minute)
	case n < day:
		return fmt.Sprintf("%dh%dm", n/hour, n%hour/minute)
	default:
		return fmt.Sprintf("%dd%dh", n/day, n%day/hour)
	}
}
