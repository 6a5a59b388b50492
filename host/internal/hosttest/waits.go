package hosttest

import "time"

// Waits is an mpm.Watched that counts how often code is said to have waited.
type Waits struct{ N int }

// Run does nothing, like the others that are not described.
func (w *Waits) Run(string, time.Duration) {}

// Call does nothing.
func (w *Waits) Call(string) {}

// Pause does nothing.
func (w *Waits) Pause() {}

// Resume counts.
func (w *Waits) Resume() { w.N++ }

// Continue does nothing: it was no wait.
func (w *Waits) Continue() {}
