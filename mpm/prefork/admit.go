package prefork

import (
	"fmt"

	"github.com/apphost/apphost/mpm"
)

// admit holds what a generation may not change, and that there is room for it.
// It runs the open-logs hook, and returns how many slots are free.
func (p *Parent) admit(o *mpm.Options) (free int, err error) {
	if p.slots == nil {
		p.slots = make([]*child, o.ServerLimit)
	}
	// Before the limit, of which each model has its own default.
	if s := p.serving; s != nil && o.Model.Threaded() != s.options.Model.Threaded() {
		return 0, fmt.Errorf("mpm.model: it cannot change while the server runs (from %q to %q); stop and start the server", s.options.Model, o.Model)
	}
	if o.ServerLimit != len(p.slots) {
		return 0, fmt.Errorf("mpm.server_limit: it cannot change while the server runs (from %d to %d); stop and start the server", len(p.slots), o.ServerLimit)
	}
	if p.serving != nil {
		if err := p.serving.options.Privileges.Change(&o.Privileges); err != nil {
			return 0, err
		}
	}
	free = p.freeSlots()
	if free == 0 {
		return 0, fmt.Errorf("all %d slots (mpm.server_limit) are taken; a reload needs some for the new generation beside mpm.max_request_workers for the old, and for children of older ones until mpm.graceful_restart_timeout", len(p.slots))
	}
	if buckets := o.BucketCount(); free < buckets {
		return 0, fmt.Errorf("only %d of %d slots (mpm.server_limit) are free; a reload needs one for each of %d buckets (mpm.listen_cores_buckets_ratio)", free, len(p.slots), buckets)
	}
	if err := run(p.cfg.Hooks.OpenLogs, o); err != nil {
		return 0, fmt.Errorf("open logs: %w", err)
	}
	return free, nil
}
