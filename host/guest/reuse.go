package guest

import "github.com/apphost/apphost/host/internal/wasmbin"

// madeAnew says why a run of m could leave something behind that is not put back,
// or "": all it has is its own, its globals are numbers that the engine can set,
// and its code leaves its tables alone.
func madeAnew(m *wasmbin.Module, keepsTables, hasFiles bool) string {
	for _, imp := range m.Imports {
		if imp.Kind != wasmbin.KindFunc {
			return "it imports a " + imp.Kind.String()
		}
	}
	for _, g := range m.Globals {
		if g.Mutable && !g.Number() {
			return "it has a global that is not a number"
		}
	}
	switch {
	case !keepsTables:
		return "its code changes tables"
	case hasFiles:
		return "it has folders"
	}
	return ""
}

// MadeAnew is why no instance serves two runs unless they are kept as they are, in
// words such as "its code changes tables"; "" if instances are put back.
func (m *Module) MadeAnew() string { return m.madeAnew }

// Reuse tells by which mem.Method, after the first instance.
func (p *imagePool) Reuse() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.image == nil || p.image.memory == nil {
		return "reset"
	}
	return "reset: " + string(p.image.method)
}

// Reuse tells that all is kept.
func (p *keptPool) Reuse() string { return "kept as they are" }

// Reuse tells why there is none.
func (p *freshPool) Reuse() string {
	if p.module.madeAnew == "" {
		return "made anew, each prepares for its run"
	}
	return "made anew, " + p.module.madeAnew
}
