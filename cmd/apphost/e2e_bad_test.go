package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// badInput is something wrong that an operator can leave in front of the
// server, and what the one line about it must name.
type badInput struct {
	name  string
	spoil func(t *testing.T, s *apphosttest.Server)
	want  []string
}

// appendConfig adds text to the configuration of plain.
func appendConfig(text string) func(*testing.T, *apphosttest.Server) {
	return func(t *testing.T, s *apphosttest.Server) {
		raw, err := os.ReadFile(s.Dir + "/config.toml")
		if err != nil {
			t.Fatal(err)
		}
		s.Write("config.toml", append(raw, text...))
	}
}

// replaceConfig changes a part of the configuration.
func replaceConfig(old, changed string) func(*testing.T, *apphosttest.Server) {
	return func(t *testing.T, s *apphosttest.Server) {
		raw, err := os.ReadFile(s.Dir + "/config.toml")
		if err != nil {
			t.Fatal(err)
		}
		s.Write("config.toml", []byte(strings.Replace(string(raw), old, changed, 1)))
	}
}

func addPlugin(path string) func(*testing.T, *apphosttest.Server) {
	return func(_ *testing.T, s *apphosttest.Server) { s.Plugin("bad", path) }
}

func badInputs(t *testing.T) []badInput {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	return []badInput{
		{"unknown key", replaceConfig("[mpm]", "[mpm]\nstart_server = 3"), []string{"config.toml:", "mpm.start_server", "start_servers"}},
		{"wrong type", replaceConfig("[mpm]", "[mpm]\nstart_servers = \"three\""), []string{"config.toml:", "mpm.start_servers"}},
		{"out of range", replaceConfig("[mpm]", "[mpm]\nmin_spare_servers = 0"), []string{"config.toml:", "mpm.min_spare_servers", "at least 1"}},
		{"not TOML", appendConfig("\n[[["), []string{"config.toml:"}},
		{"port in use", appendConfig(fmt.Sprintf("\n[[listen]]\nname=\"x\"\naddress=%q\n", taken.Addr())), []string{taken.Addr().String(), "another program or listener has it"}},
		{"address of nobody", appendConfig("\n[[listen]]\nname=\"x\"\naddress=\"192.0.2.1:8080\"\n"), []string{"192.0.2.1:8080", "no interface"}},
		{"two names of one address", appendConfig("\n[[listen]]\nname=\"x\"\naddress=\"127.0.0.1:23\"\n[[listen]]\nname=\"y\"\naddress=\"localhost:23\"\n"), []string{"localhost:23", `"x"`}},
		{"missing plugin", replaceConfig(`plugin = "echo"`, `plugin = "nosuch"`), []string{"config.toml:", "nosuch", "echo"}},
		{"wrong kind of plugin", replaceConfig(`plugin = "echo"`, `plugin = "hello"`), []string{"hello", "tcp"}},
		{"text file named .wasm", func(_ *testing.T, s *apphosttest.Server) { s.Write("plugins/bad.wasm", []byte("hello\n")) }, []string{`"bad"`, "not a WebAssembly module"}},
		{"truncated module", func(t *testing.T, s *apphosttest.Server) {
			wasm, err := os.ReadFile(helloWasm)
			if err != nil {
				t.Fatal(err)
			}
			s.Write("plugins/bad.wasm", wasm[:len(wasm)/2])
		}, []string{`"bad"`}},
		{"unknown ABI", addPlugin("../../host/guest/testdata/unknown.wasm"), []string{`"bad"`, "not a plugin"}},
		{"child_init traps", addPlugin("../../host/abi/conn/testdata/init_traps.wasm"), []string{`"bad"`, "child_init", "trapped"}},
		{"child_init returns non-zero", addPlugin("../../host/abi/conn/testdata/init_fails.wasm"), []string{`"bad"`, "child_init returned"}},
		{"child_init never returns", func(t *testing.T, s *apphosttest.Server) {
			replaceConfig(`candidate_timeout = "60s"`, `candidate_timeout = "1s"`)(t, s)
			s.Plugin("bad", "testdata/init_loops.wasm")
		}, []string{`"bad"`, "child_init", "did not return within 1s"}},
		{"TCP's option on a Unix socket", appendConfig("\n[[listen]]\nname=\"x\"\naddress=\"unix:x.sock\"\nnodelay=true\n"), []string{"config.toml:", "nodelay", "Unix socket"}},
		{"a changed server_limit, on reload", replaceConfig("[mpm]", "[mpm]\nserver_limit = 300"), []string{"server_limit", "cannot change"}},
	}
}

// wantOneLine checks that output has one clear line that names all of want.
func wantOneLine(t *testing.T, output string, want []string) {
	t.Helper()
	found := 0
	for line := range strings.Lines(output) {
		all := true
		for _, w := range want {
			all = all && strings.Contains(line, w)
		}
		if all {
			found++
		}
	}
	if found != 1 {
		t.Errorf("%d lines name all of %q, want one, in:\n%s", found, want, output)
	}
	if strings.Contains(output, ".go:") || strings.Contains(output, "goroutine") {
		t.Errorf("the output shows the inside of the program:\n%s", output)
	}
}

func TestE2EBadInputAtTheStartExits1AndSaysWhy(t *testing.T) {
	for _, bad := range badInputs(t) {
		if strings.Contains(bad.name, "on reload") {
			continue
		}
		t.Run(bad.name, func(t *testing.T) {
			s := apphosttest.New(t, plain, map[string]string{"hello": helloWasm, "echo": echoWasm})
			bad.spoil(t, s)
			out, code := s.Run("-c", "config.toml")
			if code != 1 {
				t.Errorf("exit status %d, want 1", code)
			}
			wantOneLine(t, out, bad.want)
			if left := s.Processes(); len(left) > 0 {
				t.Errorf("processes are left: %v", left)
			}
		})
	}
}

// What is wrong in the configuration, in plugins, and between them is told at
// once.
func TestE2EACheckTellsEverything(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(*testing.T, *apphosttest.Server)
		want  []string
	}{
		"with a faulty configuration": {replaceConfig("[mpm]", "[mpm]\nstart_servers = 0"), []string{"mpm.start_servers"}},
		"with a good configuration":   {replaceConfig(`plugin = "echo"`, `plugin = "hello"`), []string{`listen[1].plugin: plugin "hello" speaks the http-wasm ABI`}},
	} {
		t.Run(name, func(t *testing.T) {
			s := apphosttest.New(t, plain, map[string]string{"hello": helloWasm, "echo": echoWasm})
			tc.spoil(t, s)
			s.Write("plugins/text.wasm", []byte("hello\n"))
			s.Plugin("unknown", "../../host/guest/testdata/unknown.wasm")
			out, code := s.Run("-t", "-c", "config.toml")
			if code != 1 {
				t.Errorf("exit status %d, want 1", code)
			}
			for _, want := range append(tc.want, `plugin "text" is not a WebAssembly module`, `plugin "unknown" is not a plugin`) {
				wantOneLine(t, out, []string{want})
			}
		})
	}
}

// One server under load is given each kind of bad input in turn. It must say
// why, lose no connection, keep its generation, and take the next good reload.
func TestE2EBadInputOnReloadChangesNothing(t *testing.T) {
	s := startPlain(t)
	good, err := os.ReadFile(s.Dir + "/config.toml")
	if err != nil {
		t.Fatal(err)
	}
	for i, bad := range badInputs(t) {
		t.Run(bad.name, func(t *testing.T) {
			l := startLoad(t, s, 200)
			bad.spoil(t, s)
			out, code := s.Run("reload", "-c", "config.toml")
			if code != 1 {
				t.Errorf("exit status %d, want 1", code)
			}
			wantOneLine(t, out, bad.want)
			if want := fmt.Sprintf("generation %d serves on", i+1); !strings.Contains(out, want) {
				t.Errorf("it does not say %q:\n%s", want, out)
			}
			s.Write("config.toml", good)
			_ = os.Remove(s.Dir + "/plugins/bad.wasm")
			s.Reload()
			l.wantNone(100)
		})
	}
}

// The same with both signals, one kind after the other: the log says why, no
// connection is lost, and the generation is the first one still.
func TestE2EBadInputBeforeASignalChangesNothing(t *testing.T) {
	s := startPlain(t)
	good, err := os.ReadFile(s.Dir + "/config.toml")
	if err != nil {
		t.Fatal(err)
	}
	l := startLoad(t, s, 100)
	failures := 0
	for _, bad := range badInputs(t) {
		for _, sig := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGHUP} {
			t.Run(bad.name+", "+sig.String(), func(t *testing.T) {
				bad.spoil(t, s)
				s.Signal(sig)
				failures++
				var reason string
				apphosttest.Eventually(t, apphosttest.Patience, "the reload fails", func() bool {
					reasons := failedReloads(s)
					if len(reasons) < failures {
						return false
					}
					reason = reasons[failures-1]
					return true
				})
				for _, want := range bad.want {
					if !strings.Contains(reason, want) {
						t.Errorf("the log does not name %q: %s", want, reason)
					}
				}
				s.Write("config.toml", good)
				_ = os.Remove(s.Dir + "/plugins/bad.wasm")
			})
		}
	}
	l.wantNone(100)
	s.Reload()
	if _, ok := s.WaitLog("serving", func(e map[string]any) bool { return e["generation"] == 2.0 }); !ok {
		t.Error("the first good reload does not make generation 2")
	}
}

// failedReloads are the reasons in the log, in order, of reloads that failed
// for one reason each.
func failedReloads(s *apphosttest.Server) []string {
	var reasons []string
	for line := range strings.Lines(s.Log()) {
		var e struct{ Msg, Reason string }
		if json.Unmarshal([]byte(line), &e) == nil && e.Msg == "reload failed" {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}

// A port below 1024 needs a right. Root has it, so the server is then run as
// nobody.
func TestE2EAPrivilegedPortIsExplained(t *testing.T) {
	const low = "\n[[listen]]\nname=\"low\"\naddress=\"127.0.0.1:999\"\n"
	want := []string{"127.0.0.1:999", "port 999 needs root"}
	if raw, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err == nil && strings.TrimSpace(string(raw)) < "1000" {
		t.Skip("on this machine anyone may bind any port")
	}
	s := apphosttest.New(t, strings.ReplaceAll(plain, "CACHE", "cache"), map[string]string{"hello": helloWasm, "echo": echoWasm})
	s.Unprivileged()
	s.Start()
	l := startLoad(t, s, 100)
	appendConfig(low)(t, s)
	out, code := s.Run("reload", "-c", "config.toml")
	if code != 1 || !strings.Contains(out, "generation 1 serves on") {
		t.Errorf("reload: exit status %d: %s", code, out)
	}
	wantOneLine(t, out, want)
	l.wantNone(50)
	s.Stop()

	out, code = s.Run("-c", "config.toml")
	if code != 1 {
		t.Errorf("start: exit status %d, want 1", code)
	}
	wantOneLine(t, out, want)
}
