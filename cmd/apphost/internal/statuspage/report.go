// Package statuspage shows a running server's state over HTTP: to people as a
// page, to programs that read the status of Apache httpd's in its words, and as
// the JSON of 'apphost status --json'. It gets the state as bytes from whoever
// knows it.
package statuspage

import (
	"fmt"
	"runtime/debug"
	"strings"
	"time"
	"unicode"

	"github.com/apphost/apphost/mpm/prefork"
)

// Report is the state of a server. Its JSON form is what 'apphost status
// --json' prints.
type Report struct {
	Version string `json:"version"`
	Config  string `json:"config"`
	prefork.Snapshot
	// Modules are what the plugins of the serving generation are made of.
	Modules []Module `json:"modules"`
}

// Module describes a plugin's module.
type Module struct {
	Name  string `json:"name"`
	ABI   string `json:"abi"`
	Bytes int    `json:"bytes"`
	// Instances is how one of a run becomes one for the next, in words.
	Instances string `json:"instances"`
}

// product is the server in the form "apphost/1.2.3 (dev)": programs take the
// three numbers after the slash for its version.
func product(version string) string {
	number, label, labelled := strings.Cut(version, "-")
	if labelled {
		return fmt.Sprintf("apphost/%s (%s)", number, label)
	}
	return "apphost/" + number
}

// built is when the source of this program was committed, if that is known.
func built() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			return strings.TrimSuffix(s.Value, "Z")
		}
	}
	return ""
}

// Printable replaces what could move the cursor of a terminal, or make a line
// look like two.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// generation is the number of the one that serves, 0 if none does.
func (r *Report) generation() uint64 {
	for _, g := range r.Generations {
		if g.State == "serving" || g.State == "draining" {
			return g.Number
		}
	}
	return 0
}

// uptime is at least a second, so that anything can be divided by it.
func (r *Report) uptime() float64 { return max(1, r.UptimeSeconds) }

// cpuSeconds is all processor time.
func (r *Report) cpuSeconds() float64 {
	c := r.CPU
	return c.UserSeconds + c.SystemSeconds + c.EndedUserSeconds + c.EndedSystemSeconds
}

// now is when the report was made.
func (r *Report) now() time.Time {
	return r.Started.Add(time.Duration(r.UptimeSeconds * float64(time.Second)))
}

// ratio is a/b, or 0 without b.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// days shows a time as httpd does: 1 day 2 hours 3 minutes 4 seconds.
func days(seconds float64) string {
	n := int64(seconds)
	var parts []string
	for _, unit := range []struct {
		name    string
		seconds int64
	}{{"day", 86400}, {"hour", 3600}, {"minute", 60}, {"second", 1}} {
		count := n / unit.seconds
		n %= unit.seconds
		if count == 0 && (unit.name != "second" || len(parts) > 0) {
			continue
		}
		plural := "s"
		if count == 1 {
			plural = ""
		}
		parts = append(parts, fmt.Sprintf("%d %s%s", count, unit.name, plural))
	}
	return strings.Join(parts, " ")
}
