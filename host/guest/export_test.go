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

// HasOwnImage reports whether the instance shares its image with no other.
func HasOwnImage(i *Instance) bool { return i.image.own }

// PartsMax is after how many parts a program is made anew.
const PartsMax = partsMax
