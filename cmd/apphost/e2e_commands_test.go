package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/cmd/apphost/internal/statuspage"
	"github.com/apphost/apphost/cmd/apphosttest"
)

// stop returns when everything has ended, and a second one says that nothing
// runs.
func TestE2EStopCommand(t *testing.T) {
	s := startPlain(t)
	roundTrip, _ := hold(t, s.Addr("echo"))
	out, code := s.Run("stop", "-c", "config.toml")
	if code != 0 || out != "stopped\n" {
		t.Errorf("exit status %d: %s", code, out)
	}
	if left := s.Children(); len(left) > 0 {
		t.Errorf("children are left: %v", left)
	}
	wantGone(t, s)
	if err := roundTrip(); err == nil {
		t.Error("an open connection goes on")
	}
	if out, code = s.Run("stop", "-c", "config.toml"); code != 1 || !strings.Contains(out, "no server") {
		t.Errorf("the second stop: exit status %d: %s", code, out)
	}
}

// A graceful stop waits for what is served, and a stop meanwhile ends both.
func TestE2EGracefulStopCommand(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprintf("cut short %v", cut), func(t *testing.T) {
			s := startPlain(t)
			roundTrip, hangUp := hold(t, s.Addr("echo"))
			cmd := s.Command("stop", "--graceful", "-c", "config.toml")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			if _, ok := s.WaitLog("stopping gracefully", nil); !ok {
				t.Fatal("it does not stop")
			}
			if err := roundTrip(); err != nil {
				t.Errorf("an open connection: %v", err)
			}
			select {
			case err := <-ended:
				t.Fatalf("the command is over while a connection is served: %v", err)
			default:
			}
			if st := statusOf(t, s); st.State != "stopping gracefully" {
				t.Errorf("state %q", st.State)
			}
			if cut {
				if out, code := s.Run("stop", "-c", "config.toml"); code != 0 {
					t.Errorf("stop: exit status %d: %s", code, out)
				}
			} else {
				hangUp()
			}
			if err := <-ended; err != nil {
				t.Errorf("stop --graceful: %v", err)
			}
			wantGone(t, s)
		})
	}
}

// statusOf is what status --json says. A field that is renamed fails to decode.
func statusOf(t *testing.T, s *apphosttest.Server) statuspage.Report {
	t.Helper()
	out, code := s.Run("status", "--json", "-c", "config.toml")
	if code != 0 {
		t.Fatalf("status: exit status %d: %s", code, out)
	}
	var st statuspage.Report
	d := json.NewDecoder(strings.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&st); err != nil {
		t.Fatalf("status: %v\n%s", err, out)
	}
	return st
}

func TestE2EStatus(t *testing.T) {
	s := startPlain(t)
	_, hangUp := hold(t, s.Addr("echo"))
	if _, err := get("http://" + s.Addr("web") + "/hello/"); err != nil {
		t.Fatal(err)
	}
	var st statuspage.Report
	apphosttest.Eventually(t, apphosttest.Patience, "one is busy, and one has served", func() bool {
		st = statusOf(t, s)
		served := uint64(0)
		for _, c := range st.Slots {
			served += c.ChildConnections
		}
		return st.Busy == 1 && served == 1
	})
	if st.PID != s.PID || st.Version != version || st.State != "serving" || st.LastReload != nil || time.Since(st.Started) > time.Minute {
		t.Errorf("status: %+v", st)
	}
	if len(st.Listeners) != 2 || st.Listeners[0].Name != "web" || st.Listeners[0].Address != s.Addr("web") {
		t.Errorf("listeners: %+v", st.Listeners)
	}
	if len(st.Scoreboard) != 256 || strings.Count(st.Scoreboard, "_") != st.Idle || st.Idle < 4 {
		t.Errorf("%d idle, scoreboard %s", st.Idle, st.Scoreboard)
	}

	s.Reload()
	s.Write("plugins/bad.wasm", []byte("no wasm"))
	if _, code := s.Run("reload", "-c", "config.toml"); code != 1 {
		t.Fatal("a bad reload went well")
	}
	apphosttest.Eventually(t, apphosttest.Patience, "the old idle children are gone", func() bool {
		st = statusOf(t, s)
		return len(st.Generations) == 2 && st.Generations[0].Children == 1
	})
	if st.Generations[0].State != "retired" || st.Generations[1].Number != 2 {
		t.Errorf("generations: %+v", st.Generations)
	}
	if strings.Count(st.Scoreboard, "G") != 1 {
		t.Errorf("scoreboard %s", st.Scoreboard)
	}
	if st.LastReload == nil || st.LastReload.Generation != 2 || len(st.LastReload.Errors) == 0 {
		t.Errorf("the last reload: %+v", st.LastReload)
	}
	out, code := s.Run("status", "-c", "config.toml")
	if code != 0 {
		t.Fatalf("exit status %d: %s", code, out)
	}
	for _, want := range []string{
		fmt.Sprintf("pid %d, serving", s.PID), s.Addr("web") + " (web)", "2, serving", "1, retired, children: 1",
		"failed, generation 2 served on", `plugin "bad"`, "G graceful", "GENERATION",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	for line := range strings.Lines(out) {
		if len(line) > 101 && !strings.ContainsAny(line, "/\\") { // paths and reasons are as long as they are
			t.Errorf("a line of %d columns: %s", len(line), line)
		}
	}
	hangUp()
}

// Whoever may not reach a server is told whose it is.
func TestE2EAnotherUsersServerIsNamed(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be somebody else for a moment")
	}
	s := startPlain(t)
	s.Unprivileged() // from now on
	for _, dir := range s.ControlFiles() {
		if err := os.Chown(filepath.Dir(dir), 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	out, code := s.Run("status", "-c", "config.toml")
	if code != 1 || !strings.Contains(out, "it is another user's: run this as that user") {
		t.Errorf("exit status %d: %s", code, out)
	}
}
