package prefork

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// Codes that fail too often are quarantined; see mpm.Code. That is decided here,
// for all children of the generation at once, and told to them by flags that only
// the master can change. What it knows of failures are the children that it has
// killed for an overrun and those that died while one code ran; of those that
// cost no child, the children tell in their slots.
//
// A child that lies can accuse a code of its own generation, and can take none
// under its protection but from what happens in itself. Whoever is in command of
// a child has its listeners, too, and could keep clients from the server with
// less trouble.

// countInterval is within what time a failure is known that ends no child. The
// master does not wake for it as long as it is awake more often.
const countInterval = time.Second

// codeRecord is what is known of a code of a generation.
type codeRecord struct {
	failures uint64      // of all children, since the generation began
	recent   []time.Time // those within the window, oldest first, while it is in service
	since    time.Time   // when it was quarantined; zero is in service
}

// codeFailed notes n failures of a code.
func (p *Parent) codeFailed(g *generation, code int, n uint64, now time.Time) {
	if g != p.serving || code < 0 || n == 0 {
		return
	}
	c, set := &g.codes[code], &g.options.Codes[code]
	c.failures = min(c.failures+n, totalMax)
	if set.QuarantineAfter <= 0 || !c.since.IsZero() {
		return
	}
	c.recent = slices.DeleteFunc(c.recent, func(t time.Time) bool { return now.Sub(t) > set.QuarantineWindow })
	for range min(n, uint64(set.QuarantineAfter)) {
		c.recent = append(c.recent, now)
	}
	if failures := len(c.recent); failures >= set.QuarantineAfter {
		c.since, c.recent = now, nil
		g.files.quarantine(code, true)
		p.log.Error("plugin is quarantined, for it keeps failing; bring it back with 'apphost plugin release NAME' or a reload",
			"plugin", set.Name, "generation", g.number, "failures", failures, "quarantine_window", set.QuarantineWindow.String())
	}
}

// countFailures takes in what children say of failures that ended none of them.
func (p *Parent) countFailures(now time.Time, next *wakeUp) {
	g := p.serving
	if g == nil || len(g.codes) == 0 || p.stopping {
		return
	}
	if !now.Before(p.counted.Add(maintenanceInterval)) {
		p.counted = now
		p.countAll(now)
	}
	if slices.ContainsFunc(g.options.Codes, func(c mpm.Code) bool { return c.QuarantineAfter > 0 }) {
		next.at(p.counted.Add(countInterval))
	}
}

func (p *Parent) countAll(now time.Time) {
	for _, ch := range p.slots {
		if ch != nil && ch.generation == p.serving && ch.ready {
			p.hearFailures(ch, now)
		}
	}
}

// hearFailures takes in what a child says of failures, as far as it is possible.
func (p *Parent) hearFailures(ch *child, now time.Time) {
	g := ch.generation
	if g != p.serving || len(g.codes) == 0 {
		return
	}
	said := p.sys.slotFailures(ch.slot)
	if said == ch.failures {
		return
	}
	ch.failures = said
	if ch.failuresOf == nil {
		ch.failuresOf = make([]uint64, len(g.codes))
	}
	possible := possibleCount(g.options.Threads(), now.Sub(ch.spawned))
	for code := range g.codes {
		before := ch.failuresOf[code]
		raise(&ch.failuresOf[code], p.sys.slotFailuresOf(ch.slot, code), possible)
		p.codeFailed(g, code, ch.failuresOf[code]-before, now)
	}
}

// convict counts the death of a child against the code that ran, if it is the
// child's own doing and only one did: of several, nobody knows which it was.
func (p *Parent) convict(ch *child, now time.Time) {
	p.hearFailures(ch, now)
	if !ch.ready || ch.ending || ch.reason != "" || ch.status.clean() || ch.status.signal() == syscall.SIGTERM {
		return
	}
	reports, culprit := p.sys.slotReport(ch.slot), ""
	for i, r := range p.sys.slotRuns(ch.slot) {
		if r.Number == 0 || i >= len(reports) {
			continue
		}
		if name := reports[i].Code; culprit == "" {
			culprit = name
		} else if name != culprit {
			return
		}
	}
	p.codeFailed(ch.generation, ch.generation.codeNamed(culprit), 1, now)
}

// codeNamed is the place of a code by what a thread shows of its name, or -1 if
// there is none or more than one.
func (g *generation) codeNamed(shown string) int {
	found := -1
	for i := range g.options.Codes {
		if shown == "" || scoreboard.CutName(g.options.Codes[i].Name) != shown {
			continue
		}
		if found >= 0 {
			return -1
		}
		found = i
	}
	return found
}

// releaseCode ends the quarantine of a code.
func (p *Parent) releaseCode(name string, now time.Time) Result {
	g := p.serving
	if p.stopping || p.winding != nil {
		return p.stoppingResult()
	}
	if g == nil {
		return Result{Errors: []string{"the server is starting"}}
	}
	result := Result{Generation: g.number}
	code := slices.IndexFunc(g.options.Codes, func(c mpm.Code) bool { return c.Name == name })
	switch {
	case code < 0:
		var have []string
		for i := range g.options.Codes {
			have = append(have, g.options.Codes[i].Name)
		}
		result.Errors = []string{fmt.Sprintf("there is no plugin %q; have: %s", name, strings.Join(have, ", "))}
	case g.codes[code].since.IsZero():
		result.Errors = []string{fmt.Sprintf("plugin %q is not quarantined", name)}
	default:
		// What has failed already, and is not known yet, is no reason to begin anew.
		p.countAll(now)
		g.codes[code].since = time.Time{}
		g.files.quarantine(code, false)
		p.log.Info("plugin is released from quarantine", "plugin", name, "generation", g.number)
	}
	return result
}

// CodeStatus is how a plugin of the serving generation is.
type CodeStatus struct {
	Name string `json:"name"`
	// Failures is how often it has crashed, or had its child killed or dead, since
	// the generation began. What costs no child is the children's word.
	Failures uint64 `json:"failures"`
	// Quarantined is since when it is out of service, nil if it is not.
	Quarantined *time.Time `json:"quarantined"`
}

// codes is how the codes of g are.
func (g *generation) codeStatus() []CodeStatus {
	list := make([]CodeStatus, len(g.codes))
	for i, c := range g.codes {
		list[i] = CodeStatus{Name: g.options.Codes[i].Name, Failures: c.failures}
		if !c.since.IsZero() {
			list[i].Quarantined = &c.since
		}
	}
	return list
}

// adoptCodes takes over what another program knew of the codes of g. Its count
// within the window begins anew.
func (g *generation) adoptCodes(from []CodeStatus) {
	g.codes = make([]codeRecord, len(g.options.Codes))
	for _, s := range from {
		code := slices.IndexFunc(g.options.Codes, func(c mpm.Code) bool { return c.Name == s.Name })
		if code < 0 {
			continue
		}
		g.codes[code].failures = min(s.Failures, totalMax)
		if s.Quarantined != nil {
			g.codes[code].since = *s.Quarantined
			g.files.quarantine(code, true)
		}
	}
}

// adoptFailures takes what a child has said already for known.
func (p *Parent) adoptFailures(ch *child) {
	ch.failures = p.sys.slotFailures(ch.slot)
	ch.failuresOf = make([]uint64, len(ch.generation.codes))
	for code := range ch.failuresOf {
		ch.failuresOf[code] = min(p.sys.slotFailuresOf(ch.slot, code), totalMax)
	}
}
