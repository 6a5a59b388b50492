package prefork

import (
	"fmt"
	"time"

	"github.com/apphost/apphost/mpm"
)

// prepare runs the hooks between the listeners and the first child.
func (p *Parent) prepare(r *reload, o *mpm.Options) error {
	if err := run(p.cfg.Hooks.PostConfig, o); err != nil {
		return fmt.Errorf("after the configuration: %w", err)
	}
	if p.serving != nil && !r.hard {
		return nil
	}
	if err := run(p.cfg.Hooks.PreMPM, o); err != nil {
		return fmt.Errorf("before the first child: %w", err)
	}
	return nil
}

// run runs a hook, if there is one.
func run[T any](hook func(T) error, with T) error {
	if hook == nil {
		return nil
	}
	return hook(with)
}

// runMonitor runs the monitor hook when it is due.
func (p *Parent) runMonitor(now time.Time, next *wakeUp) {
	if p.cfg.Hooks.Monitor == nil {
		return
	}
	if p.monitor.IsZero() {
		p.monitor = now.Add(mpm.MonitorInterval)
	}
	if due(p.monitor, now) {
		p.monitor = now.Add(mpm.MonitorInterval)
		p.cfg.Hooks.Monitor()
	}
	next.at(p.monitor)
}

// facts are what questions about the model are answered from.
func (p *Parent) facts() mpm.Facts {
	var f mpm.Facts
	switch {
	case p.stopping || p.winding != nil:
		f.Phase = mpm.PhaseStopping
	case p.serving != nil:
		f.Phase = mpm.PhaseRunning
	}
	g := p.serving
	if g == nil && len(p.retired) > 0 {
		g = p.retired[len(p.retired)-1] // what a graceful stop has left
	}
	if g != nil {
		f.Options, f.Generation = g.options, g.number
	}
	return f
}

// tell runs the child-status hook.
func (p *Parent) tell(ch *child, state mpm.ChildState) {
	if hook := p.cfg.Hooks.ChildStatus; hook != nil {
		hook(mpm.ChildStatus{Server: p.cfg.PID, PID: ch.proc.pid(), Generation: ch.generation.number, Slot: ch.slot, State: state})
	}
}
