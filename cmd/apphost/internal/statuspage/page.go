package statuspage

import (
	_ "embed" // page.html
	"fmt"
	"html/template"
	"time"

	"github.com/apphost/apphost/mpm/prefork"
)

//go:embed page.html
var pageText string

// lettersPerLine is how the scoreboard is shown, as it is in httpd's.
const lettersPerLine = 64

// view is what the page shows. Everything in it is escaped where it is put in:
// package html/template knows what a place needs.
type view struct {
	Report
	Table bool // the tables of processes; else lists

	Product, Built, Now, Restarted, Uptime string
	Generation                             uint64
	CPU, ReqPerSec, BytesPerSec            string
	BytesPerReq, DurationPerReq, CPULoad   string
	Megabytes, Duration                    string
	Lines                                  []string
	Key                                    []keyLine
	Rows                                   []row
}

type keyLine struct{ Letter, Meaning string }

// row is a thread of a child, or a child that has served nothing yet.
type row struct {
	Child                prefork.SlotStatus
	Thread               prefork.WorkerStatus
	Mark                 string // the letter: what the master knows goes before a thread's word
	First                bool   // of its child
	CPU, Since, Took, MB string
	Age                  string
}

func newPage() *template.Template {
	return template.Must(template.New("status").Parse(pageText))
}

func newView(r *Report, table bool) *view {
	total, requests := r.Totals, float64(r.Totals.Requests)
	v := &view{
		Report: *r, Table: table,
		Product: product(r.Version), Built: built(),
		Now: r.now().Format(httpdTime), Restarted: r.Started.Format(httpdTime), Uptime: days(r.UptimeSeconds),
		Generation:  r.generation(),
		CPU:         fmt.Sprintf("u%.2f s%.2f cu%.2f cs%.2f", r.CPU.UserSeconds, r.CPU.SystemSeconds, r.CPU.EndedUserSeconds, r.CPU.EndedSystemSeconds),
		CPULoad:     fmt.Sprintf("%.3g", 100*r.cpuSeconds()/r.uptime()),
		ReqPerSec:   fmt.Sprintf("%.3g", requests/r.uptime()),
		BytesPerSec: bytesText(float64(total.BytesSent) / r.uptime()),
		BytesPerReq: bytesText(ratio(float64(total.BytesSent), requests)),
		Megabytes:   Bytes(total.BytesSent),
		Duration:    time.Duration(total.DurationSeconds * float64(time.Second)).Round(time.Millisecond).String(),
		DurationPerReq: fmt.Sprintf("%.3g ms",
			ratio(total.DurationSeconds*1000, requests)),
		Key: []keyLine{
			{"_", "Waiting for a connection"},
			{"S", "Starting up"},
			{"R", "Reading a request"},
			{"W", "Serving it"},
			{"K", "Keep-alive, waiting for the next request"},
			{"D", "Looking up a name"},
			{"C", "Closing a connection"},
			{"L", "Logging"},
			{"G", "Retired, finishing what it serves"},
			{"I", "Idle, about to leave"},
			{".", "Slot without a process"},
		},
	}
	for rest := r.Scoreboard; rest != ""; {
		n := min(lettersPerLine, len(rest))
		v.Lines = append(v.Lines, rest[:n])
		rest = rest[n:]
	}
	for i := range r.Slots {
		v.Rows = append(v.Rows, rowsOf(&r.Slots[i])...)
	}
	return v
}

func rowsOf(s *prefork.SlotStatus) []row {
	threads := s.Workers
	if len(threads) == 0 {
		threads = []prefork.WorkerStatus{{}}
	}
	var rows []row
	for i, t := range threads {
		r := row{Child: *s, Thread: t, First: i == 0, Age: ago(s.AgeSeconds), CPU: fmt.Sprintf("%.2f", s.CPUSeconds)}
		r.Mark = s.Letter
		if t.Thread < len(s.Threads) {
			r.Mark = s.Threads[t.Thread : t.Thread+1]
		}
		if len(s.Workers) > 0 {
			r.Since, r.Took = fmt.Sprintf("%.0f", t.SinceSeconds), fmt.Sprintf("%.0f", t.TookSeconds*1000)
		}
		r.MB = Bytes(s.SlotBytesSent)
		rows = append(rows, r)
	}
	return rows
}

// Bytes is a number of bytes in the unit that suits it, such as 1.5 MB.
func Bytes(n uint64) string { return bytesText(float64(n)) }

// bytesText is a number of bytes in the unit that suits it.
func bytesText(n float64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	unit := 0
	for n >= 1024 && unit < len(units)-1 {
		n /= 1024
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%.0f B", n)
	}
	return fmt.Sprintf("%.1f %s", n, units[unit])
}
