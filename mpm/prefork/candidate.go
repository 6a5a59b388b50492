package prefork

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/image"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// sectionOptions is the section of an image that the master reads: the
// mpm.Options as JSON. The others are between the candidate and the children.
const sectionOptions = "mpm"

// The kinds of a candidate's report. Each report is one line: the kind, a
// space, the text.
const (
	sayStep    = "step"    // what it does next, and might not return from
	sayTimeout = "timeout" // how long a step may take from now on
	sayError   = "error"   // a reason why the generation cannot serve
	sayWarning = "warning" // something the operator should know
	sayNote    = "note"    // something to print when the generation serves
	sayVersion = "version" // of the program, from a successor check
	sayDone    = "done"    // what is in the sealed image can serve
)

const (
	// reportLineBytes bounds one line of a candidate's report.
	reportLineBytes = 16 << 10
	// reportLinesMax bounds the lines of a kind that the master keeps.
	reportLinesMax = 1000
	// timeoutMax bounds how long a candidate may let a step take.
	timeoutMax = time.Hour
	// optionsBytesMax bounds the options a candidate may leave behind.
	optionsBytesMax = 1 << 20
)

// Candidate is the process's own view when it runs in the candidate's role:
// it is there to report to the master. It belongs to one goroutine.
type Candidate struct {
	ConfigPath string

	image, report sys.FD
	hooks         mpm.Hooks
}

func candidateArgs(configPath string) []string {
	return []string{RoleCandidate, "for", configPath}
}

// OpenCandidate takes over what the master handed to this process. args and
// getenv are the process's own.
func OpenCandidate(args []string, getenv func(string) string) (*Candidate, error) {
	if err := checkHandshake(getenv); err != nil {
		return nil, err
	}
	if len(args) != 3 || args[0] != RoleCandidate {
		return nil, fmt.Errorf("start candidate: arguments %q are not those of a candidate", args)
	}
	c := &Candidate{
		ConfigPath: args[2],
		image:      inherit(fdImage),
		report:     inherit(fdCandidateReport),
	}
	if !c.report.IsPipe() {
		return nil, errors.New("start candidate: the inherited descriptors are not what they should be")
	}
	// Nobody else writes to it, and a report that does not fit has to wait.
	if err := c.report.SetBlock(); err != nil {
		return nil, fmt.Errorf("start candidate: %w", err)
	}
	return c, nil
}

func (c *Candidate) say(kind, text string) {
	text = strings.Join(strings.Fields(text), " ")
	if limit := reportLineBytes - len(kind) - 2; len(text) > limit {
		text = text[:limit]
	}
	line := []byte(kind + " " + text + "\n")
	for len(line) > 0 {
		n, err := c.report.Write(line)
		if err != nil {
			return // the master is gone, and this process soon after
		}
		line = line[n:]
	}
}

// Step says what comes next, so that the master can name it if it never ends.
func (c *Candidate) Step(text string) { c.say(sayStep, text) }

// Timeout says how long each step may take from now on.
func (c *Candidate) Timeout(d time.Duration) { c.say(sayTimeout, d.String()) }

// Warn tells the operator something that does not stand in the way.
func (c *Candidate) Warn(text string) { c.say(sayWarning, text) }

// Note is printed when the generation starts to serve.
func (c *Candidate) Note(text string) { c.say(sayNote, text) }

// Fail reports why the generation cannot serve, a line for each reason.
func (c *Candidate) Fail(err error) {
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" {
			c.say(sayError, line)
		}
	}
}

// Seal makes the generation image: sections for the children, options for the
// master. It must come before other people's code runs: from then on nobody,
// this process included, can change what the master and the children do.
//
// The check-config hook has the last word.
func (c *Candidate) Seal(o *mpm.Options, sections []image.Section) error {
	if err := run(c.hooks.CheckConfig, o); err != nil {
		return err
	}
	encoded, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encode options: %w", err)
	}
	sections = append([]image.Section{{Name: sectionOptions, Data: encoded}}, sections...)
	return image.Fill(c.image, sections)
}

// Done says that the generation can serve.
func (c *Candidate) Done() { c.say(sayDone, "") }

// openImage opens an image a candidate has made and validates the options in
// it once more: a candidate has run guest code. It owns fd from then on, even
// when it fails.
func openImage(fd sys.FD) (*image.Image, *mpm.Options, error) {
	img, err := image.Open(fd)
	if err != nil {
		_ = fd.Close()
		return nil, nil, err
	}
	o, err := imageOptions(img)
	if err != nil {
		_ = img.Close()
		return nil, nil, err
	}
	return img, o, nil
}

func imageOptions(img *image.Image) (*mpm.Options, error) {
	raw, ok := img.Section(sectionOptions)
	if !ok || len(raw) > optionsBytesMax {
		return nil, errors.New("open image: it has no usable options")
	}
	o := new(mpm.Options)
	if err := json.Unmarshal(raw, o); err != nil {
		return nil, fmt.Errorf("decode options: %w", err)
	}
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("check options: %w", err)
	}
	return o, nil
}

// trial is the master's record of a candidate at work.
type trial struct {
	proc     candidate
	timeout  time.Duration
	step     string
	deadline time.Time

	errors, warnings, notes []string
	version                 string
	steps                   int  // and changes of the timeout
	late                    bool // it was found overdue once
	killed, lateKill        bool // for being overdue; and its end was found overdue once

	done, closed, exited bool
	status               string // how it ended, when not with done
}

// hear takes in one line of the report.
func (t *trial) hear(kind, text string, now time.Time) {
	switch kind {
	case sayStep:
		if t.steps++; t.steps > reportLinesMax {
			return // steps without end are no progress
		}
		t.step, t.late = text, false
		t.grant(now)
	case sayTimeout:
		if t.steps++; t.steps > reportLinesMax {
			return
		}
		if d, err := time.ParseDuration(text); err == nil && d > 0 {
			t.timeout = min(d, timeoutMax)
			t.late = false
			t.grant(now)
		}
	case sayError:
		t.errors = keep(t.errors, text)
	case sayWarning:
		t.warnings = keep(t.warnings, text)
	case sayNote:
		t.notes = keep(t.notes, text)
	case sayVersion:
		t.version = text
	case sayDone:
		t.done = true
	}
}

// grant gives the candidate its time for a step from now on, unless it has
// ended, and its last words only now arrive.
func (t *trial) grant(now time.Time) {
	if !t.exited {
		t.deadline = now.Add(t.timeout)
	}
}

func keep(lines []string, line string) []string {
	if len(lines) >= reportLinesMax {
		return lines
	}
	return append(lines, line)
}

// overdue looks at the deadline and reports whether the candidate is to be
// killed for it.
func (t *trial) overdue(now time.Time) bool {
	switch {
	case !due(t.deadline, now):
		return false
	case t.exited:
		t.closed = true // whoever holds its report pipe, it is not the candidate
		return false
	case t.killed && !t.lateKill:
		t.lateKill, t.deadline = true, now.Add(lateness) // as below: that it has ended is on its way
		return false
	case t.killed:
		t.exited, t.closed = true, true // and is left to itself
		return false
	case !t.late:
		// If it was us who were late, what it said is on its way to us.
		t.late, t.deadline = true, now.Add(lateness)
		return false
	}
	t.errors = append(t.errors, fmt.Sprintf("%s: it did not return within %s (mpm.candidate_timeout)", t.step, t.timeout))
	t.done, t.killed = false, true
	t.deadline = now.Add(unkillable)
	return true
}

// verdict returns the reasons against the generation, once the candidate has
// ended.
func (t *trial) verdict() []string {
	switch {
	case len(t.errors) > 0:
		return t.errors
	case !t.done:
		return []string{fmt.Sprintf("%s: the candidate process ended early: %s", t.step, t.status)}
	}
	return nil
}
