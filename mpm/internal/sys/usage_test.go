package sys

import (
	"os"
	"testing"
	"time"
)

func TestCPUTimesGrowWithWork(t *testing.T) {
	before := OwnCPU()
	for spin := time.Now(); OwnCPU().User-before.User < 50*time.Millisecond; {
		if time.Since(spin) > 20*time.Second {
			t.Fatalf("after 20 s of work the processor time has grown by %s", OwnCPU().User-before.User)
		}
	}
	own, seen := OwnCPU(), ProcessCPU(os.Getpid())
	total := func(c CPUTime) time.Duration { return c.User + c.System }
	if d := total(own) - total(seen); d < -100*time.Millisecond || d > 100*time.Millisecond {
		t.Errorf("it has used %v, and /proc says %v", own, seen)
	}
	if got := ProcessCPU(-1); got != (CPUTime{}) {
		t.Errorf("a process that is none has used %v", got)
	}
	if EndedCPU().User < 0 {
		t.Error("time runs backwards")
	}
	for i, l := range Load() {
		if l < 0 || l > 1e6 {
			t.Errorf("load %d is %v", i, l)
		}
	}
}

func TestRanIsWhatAProcessHasRun(t *testing.T) {
	ran := func() time.Duration {
		t.Helper()
		d, ok := Ran(os.Getpid())
		if !ok {
			t.Fatal("it cannot be known")
		}
		return d
	}
	own, before := OwnCPU(), ran()
	for ran() < before+20*time.Millisecond {
	}
	after := OwnCPU()
	if used := after.User + after.System - own.User - own.System; used < 10*time.Millisecond || used > 2*time.Second {
		t.Errorf("20 ms of it are %s by getrusage", used)
	}
	if got, ok := Ran(1 << 22); ok {
		t.Errorf("a process that is none has run for %s", got)
	}
}
