package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// A master that does not run for a while, stopped by an operator or a
// debugger, must not take it out on its children.
func TestE2EAStoppedMasterHarmsNobody(t *testing.T) {
	s := startPlain(t)
	roundTrip, _ := hold(t, s.Addr("echo"))
	before := s.Children()
	s.Signal(syscall.SIGSTOP)
	resume := time.After(time.Second)
	for served := 0; ; served++ {
		if err := echo(s.Addr("echo"), "ping"); err != nil {
			t.Fatalf("connection %d while the master is stopped: %v", served, err)
		}
		select {
		case <-resume:
		default:
			continue
		}
		break
	}
	s.Signal(syscall.SIGCONT)
	s.Reload()
	if err := roundTrip(); err != nil {
		t.Errorf("the connection that was held: %v", err)
	}
	if len(before) == 0 || strings.Contains(s.Log(), "child died") || strings.Contains(s.Log(), "killing child") {
		t.Errorf("children were harmed; log:\n%s", s.Log())
	}
}

// An upgraded package replaces or removes the binary under a running server.
// New children run what the master runs.
func TestE2EADeletedBinaryGoesOnServing(t *testing.T) {
	s := apphosttest.New(t, plain, map[string]string{"hello": helloWasm, "echo": echoWasm})
	s.OwnBinary()
	s.Start()
	if err := os.Remove(filepath.Join(s.Dir, "apphost")); err != nil {
		t.Fatal(err)
	}
	s.Write("apphost", []byte("#!/bin/false\n"))
	first := s.Children()
	s.Signal(syscall.SIGUSR1)
	if _, ok := s.WaitLog("serving", func(e map[string]any) bool { return e["generation"] == 2.0 }); !ok {
		t.Fatalf("no new generation:\n%s", s.Log())
	}
	if _, err := get("http://" + s.Addr("web") + "/hello/"); err != nil {
		t.Error(err)
	}
	apphosttest.Eventually(t, apphosttest.Patience, "the first children are gone", func() bool {
		return !slices.ContainsFunc(s.Children(), func(pid int) bool { return slices.Contains(first, pid) })
	})
}

// A second request to stop is no more than the first.
func TestE2EASecondStopChangesNothing(t *testing.T) {
	s := startPlain(t)
	for range 3 {
		s.Signal(syscall.SIGTERM)
	}
	if err := s.Wait(); err != nil {
		t.Errorf("the server ended badly: %v", err)
	}
	s.WaitLog("stopped", nil) // the log is read beside the process, and may come later
	if n := strings.Count(s.Log(), `"stopped"`); n != 1 {
		t.Errorf("it says %d times that it has stopped", n)
	}
}

// A log that nobody reads any longer, or that may not grow, ends no process.
func TestE2EAFailedWriteEndsNobody(t *testing.T) {
	s := startPlain(t)
	before := s.Processes()
	for _, sig := range []syscall.Signal{syscall.SIGPIPE, syscall.SIGXFSZ} {
		for _, pid := range before {
			if err := syscall.Kill(pid, sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range before {
		if err := echo(s.Addr("echo"), "ping"); err != nil {
			t.Error(err)
		}
	}
	s.Reload() // by the master, after it has had both
	if strings.Contains(s.Log(), "child died") {
		t.Errorf("a child died:\n%s", s.Log())
	}
}
