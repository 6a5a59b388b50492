package config

import (
	"cmp"
	"time"

	"github.com/apphost/apphost/mpm"
)

// quarantine is what one place says of how often a plugin may fail: [plugins] for
// all of them, NAME.toml and [plugin.NAME] for one.
type quarantine struct {
	after  *int // nil is not given
	window *time.Duration
}

func (t *table) quarantine() quarantine {
	var q quarantine
	after, window := QuarantineAfterDefault, QuarantineWindowDefault
	if t.integer("quarantine_after", &after) {
		q.after = &after
		if after < 0 || after > mpm.QuarantineAfterMax {
			t.fault("quarantine_after", "must be from 0, which is never, to %d, got %d", mpm.QuarantineAfterMax, after)
			q.after = nil
		}
	}
	if t.duration("quarantine_window", &window) {
		q.window = &window
		if window < quarantineWindowMin || window > quarantineWindowMax {
			t.fault("quarantine_window", `must be from "%s" to "%s", got %q`, quarantineWindowMin, quarantineWindowMax, t.values["quarantine_window"])
			q.window = nil
		}
	}
	return q
}

// of is what holds for the plugin called name: all is of every plugin.
func (all *quarantine) of(name string, shipped, given quarantine) mpm.Code {
	c := mpm.Code{Name: name, QuarantineAfter: QuarantineAfterDefault}
	if after := cmp.Or(given.after, shipped.after, all.after); after != nil {
		c.QuarantineAfter = *after
	}
	if c.QuarantineAfter == 0 {
		return c
	}
	c.QuarantineWindow = QuarantineWindowDefault
	if window := cmp.Or(given.window, shipped.window, all.window); window != nil {
		c.QuarantineWindow = *window
	}
	return c
}
