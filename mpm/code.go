package mpm

import (
	"fmt"
	"time"
)

// Code is what handlers run that is not their own, and that may fail there. One
// that fails too often is quarantined: no connection of the generation reaches it
// any longer, whichever child accepts it, until an operator releases it or the
// generation is over.
type Code struct {
	// Name is what operators know it by.
	Name string
	// QuarantineAfter is how many failures within QuarantineWindow are too many;
	// 0 is never.
	QuarantineAfter  int           `json:",omitempty"`
	QuarantineWindow time.Duration `json:",omitempty"`
}

// Quarantine is what a model knows of the codes in Options.Codes, by their place
// there, and what it is told of them. It may be used by any goroutine.
type Quarantine interface {
	// Quarantined reports whether a code is out of service. It costs two loads.
	Quarantined(code int) bool
	// Failed counts a run of the code that crashed. What ended with its process,
	// the model knows by itself.
	Failed(code int)
}

// QuarantineAfterMax is the largest Code.QuarantineAfter.
const QuarantineAfterMax = 1000

func (o *Options) validateCodes(fault func(key, format string, args ...any)) {
	names := map[string]bool{}
	for i := range o.Codes {
		c := &o.Codes[i]
		if c.Name == "" || names[c.Name] {
			fault("codes", "each must have a name of its own, got %q", c.Name)
		}
		names[c.Name] = true
		if err := c.check(); err != nil {
			fault("codes", "%q: %s", c.Name, err)
		}
	}
}

func (c *Code) check() error {
	if c.QuarantineAfter < 0 || c.QuarantineAfter > QuarantineAfterMax {
		return fmt.Errorf("quarantine_after must be from 0 to %d, got %d", QuarantineAfterMax, c.QuarantineAfter)
	}
	if c.QuarantineAfter > 0 && c.QuarantineWindow <= 0 {
		return fmt.Errorf("quarantine_window must be longer than 0s, got %s", c.QuarantineWindow)
	}
	return nil
}
