package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

func TestE2EStopSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			s := startPlain(t)
			s.Signal(sig)
			if err := s.Wait(); err != nil {
				t.Errorf("the server ended badly: %v", err)
			}
			if left := s.Processes(); len(left) > 0 {
				t.Errorf("processes are left: %v", left)
			}
			if left := s.ControlFiles(); len(left) > 0 {
				t.Errorf("control sockets are left: %v", left)
			}
		})
	}
}

// No signal disturbs a stop that is under way, and what none asks for, nothing
// comes of.
func TestE2ESignalsDuringAStopChangeNothing(t *testing.T) {
	s := apphosttest.New(t, plain, map[string]string{"hello": helloWasm, "echo": echoWasm})
	s.Detached = true
	s.Start()
	s.Signal(syscall.SIGPIPE)
	s.Reload()
	roundTrip, hangUp := hold(t, s.Addr("echo"))
	s.Signal(syscall.SIGQUIT)
	if _, ok := s.WaitLog("stopping gracefully", nil); !ok {
		t.Fatal("it does not stop")
	}
	for _, sig := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGWINCH, syscall.SIGPIPE} {
		s.Signal(sig)
		if err := roundTrip(); err != nil {
			t.Fatalf("an open connection after %v: %v", sig, err)
		}
	}
	hangUp()
	wantGone(t, s)
	if n := strings.Count(s.Log(), `"stopping gracefully"`); n != 1 {
		t.Errorf("it says %d times that it stops", n)
	}
}

// A stop while a candidate spins, and a stop by Ctrl-C of a check, leave
// nobody behind.
func TestE2EAStopDuringTheTrial(t *testing.T) {
	for name, args := range map[string][]string{"start": {"-c", "config.toml"}, "check": {"-t", "-c", "config.toml"}} {
		t.Run(name, func(t *testing.T) {
			s := apphosttest.New(t, plain, map[string]string{"echo": echoWasm, "bad": "testdata/init_loops.wasm"})
			cmd := s.Command(args...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			apphosttest.Eventually(t, apphosttest.Patience, "a candidate runs", func() bool {
				return slices.ContainsFunc(s.Processes(), func(pid int) bool {
					return strings.HasPrefix(apphosttest.CommandLine(pid), "apphost: candidate")
				})
			})
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if left := s.Processes(); len(left) > 0 {
				t.Errorf("processes are left: %v", left)
			}
		})
	}
}

// What the master was started with, a secret or a socket of a service manager,
// is not for children, which run strangers' code.
func TestE2EChildrenInheritNothingElse(t *testing.T) {
	s := apphosttest.New(t, plain, map[string]string{"hello": helloWasm, "echo": echoWasm})
	secret := filepath.Join(s.Dir, "secret")
	s.Write("secret", []byte("secret"))
	f, err := os.Open(secret)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s.ExtraFiles = []*os.File{f}
	s.Start()
	for _, pid := range s.Children() {
		fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		if err != nil || len(fds) == 0 {
			t.Fatalf("descriptors of child %d: %v, %v", pid, fds, err)
		}
		for _, fd := range fds {
			if to, _ := os.Readlink(fd); to == secret {
				t.Errorf("child %d has %s", pid, fd)
			}
		}
	}
}
