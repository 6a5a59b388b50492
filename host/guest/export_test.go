package guest

// WithoutTracker makes r like one on a system that tracks no writes.
func (r *Runtime) WithoutTracker() {
	if r.tracker != nil {
		r.tracker.Close()
		r.tracker = nil
	}
}

// ResetMethod is how a pool's instances are reset; "" if they are not.
func ResetMethod(p Pool, i *Instance) string {
	if _, ok := p.(*imagePool); !ok {
		return ""
	}
	return string(i.memory.Method())
}
