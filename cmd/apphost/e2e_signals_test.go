package main

import (
	"slices"
	"syscall"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// Of the signals that people and terminals send to all processes, a child heeds
// TERM alone, and the master not those of a write that cannot be.
func TestE2ESignalsToAChild(t *testing.T) {
	s := startPlain(t)
	before := s.Children() // not one that only starts, because somebody is busy: it heeds all
	roundTrip, _ := hold(t, s.Addr("echo"))
	for _, pid := range before {
		for _, sig := range []syscall.Signal{
			syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGPIPE, syscall.SIGXFSZ,
		} {
			if err := syscall.Kill(pid, sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Signal(syscall.SIGPIPE)
	s.Signal(syscall.SIGXFSZ)
	if err := roundTrip(); err != nil {
		t.Errorf("an open connection: %v", err)
	}
	if err := echo(s.Addr("echo"), "x"); err != nil {
		t.Error(err)
	}
	after := s.Children() // there may be one more
	for _, pid := range before {
		if !slices.Contains(after, pid) {
			t.Errorf("child %d is gone; there are %v", pid, after)
		}
	}
	for _, pid := range before {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	apphosttest.Eventually(t, apphosttest.Patience, "the connection ends with its child", func() bool { return roundTrip() != nil })
	apphosttest.Eventually(t, apphosttest.Patience, "the children are replaced", func() bool {
		now := s.Children()
		return len(now) >= len(before) && !slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(before, pid) })
	})
}
