package main

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// acceptWasm is a program that accepts its connections in a loop: its source says
// what it does with one.
var acceptWasm = filepath.Join("..", "..", "host", "abi", "conn", "testdata", "server.wasm")

// tell sends what a program is to do on one connection, and returns all that it
// answers.
func tell(t *testing.T, addr, what string) string {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(apphosttest.Patience))
	if _, err := io.WriteString(c, what); err != nil {
		t.Error(err)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	answer, _ := io.ReadAll(c) // a child that is killed resets it
	return string(answer)
}

// A program with an accept loop finds itself as at its first connection each time, in
// both models, and its trap, its end or its endless loop costs it one connection.
func TestE2EAProgramThatAcceptsIsFreshForEachConnection(t *testing.T) {
	for model, config := range map[string]string{"prefork": plain, "worker": crew} {
		t.Run(model, func(t *testing.T) {
			s := apphosttest.Start(t, config+"[plugin.echo]\ncpu_timeout = \"300ms\"\n", map[string]string{"hello": helloWasm, "echo": acceptWasm})
			addr := s.Addr("echo")
			var all sync.WaitGroup
			for n := range 6 {
				all.Go(func() {
					for range 50 {
						if n == 0 {
							tell(t, addr, "ct")
							tell(t, addr, "r")
						}
						if got := tell(t, addr, "gcc"); got != "011112\n022222\n" {
							t.Errorf("a connection found %q", got)
						}
					}
				})
			}
			all.Wait()

			tell(t, addr, "cs")
			if line, ok := s.WaitLog("a plugin runs without end; killing its child", nil); !ok || line["plugin"] != "echo" {
				t.Errorf("the log says %v", line)
			}
			if got := tell(t, addr, "c"); got != "011101\n" {
				t.Errorf("afterwards: %q", got)
			}
			s.Stop()
			if log := s.Log(); !strings.Contains(log, "_start trapped: wasm error: unreachable") || strings.Contains(log, "panic") {
				t.Errorf("the log says\n%s", log)
			}
		})
	}
}

// One that serves while its child is told to leave hears of it, and serves to the
// end; those that are parked do not keep the child.
func TestE2EAProgramThatAcceptsLeavesWithItsChild(t *testing.T) {
	s := apphosttest.Start(t, crew, map[string]string{"hello": helloWasm, "echo": acceptWasm})
	old := s.Children()
	c, err := net.Dial("tcp", s.Addr("echo"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(apphosttest.Patience))
	stopping := func() string {
		if _, err := io.WriteString(c, "k"); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got := stopping(); got != "0" {
		t.Errorf("at first it says %q", got)
	}
	tell(t, s.Addr("echo"), "c") // and another one is parked
	s.Reload()
	if got := stopping(); got != "1" {
		t.Errorf("after the reload it says %q", got)
	}
	_ = c.Close()
	apphosttest.Eventually(t, apphosttest.Patience, "the old child has left", func() bool {
		for _, pid := range s.Children() {
			if len(old) > 0 && pid == old[0] {
				return false
			}
		}
		return true
	})
}

// A program that does not get to its first accept is refused by the candidate.
func TestE2EAProgramThatNeverAcceptsIsRefused(t *testing.T) {
	s := apphosttest.Start(t, plain, map[string]string{"hello": helloWasm, "echo": acceptWasm})
	s.Plugin("echo", filepath.Join("testdata", "never_accepts.wasm"))
	out, code := s.Run("reload", "-c", "config.toml")
	if want := `plugin "echo": _start ended with exit code 4 before it called accept`; code != 1 || !strings.Contains(out, want) {
		t.Errorf("reload: %d, %s; want %s", code, out, want)
	}
	if got := tell(t, s.Addr("echo"), "c"); got != "011101\n" {
		t.Errorf("afterwards: %q", got)
	}
}
