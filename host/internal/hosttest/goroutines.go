package hosttest

import (
	"runtime"
	"testing"
	"time"
)

// Goroutines counts the goroutines and returns a function that fails the test if
// there are more of them later. One that is about to end is given time.
func Goroutines(t testing.TB) (check func()) {
	before := runtime.NumGoroutine()
	return func() {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for runtime.NumGoroutine() > before {
			if time.Now().After(deadline) {
				t.Errorf("%d goroutines, there were %d", runtime.NumGoroutine(), before)
				return
			}
			runtime.Gosched()
		}
	}
}
