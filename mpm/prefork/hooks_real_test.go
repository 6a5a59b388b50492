package prefork

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
)

// tell adds a line to the file at path, which processes share.
func tell(path, format string, args ...any) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	fmt.Fprintf(f, format+"\n", args...)
	_ = f.Close()
}

func candidateHooks(path string) mpm.Hooks {
	return mpm.Hooks{
		PreConfig: func() error { tell(path, "pre config"); return nil },
		CheckConfig: func(o *mpm.Options) error {
			tell(path, "check config")
			if o.StartServers == 13 {
				return fmt.Errorf("13 is no number of servers to start")
			}
			return nil
		},
	}
}

// takePart gives a child all hooks, and asks and wishes for what there is.
func takePart(c *Child, path string) error {
	said := func(what string) {
		phase, err := c.Query(mpm.QueryMPMState)
		threads, _ := c.Query(mpm.QueryMaxThreads)
		tell(path, "%s: phase %d, threads %d, %v", what, phase, threads, err)
	}
	err := c.Begin(mpm.Hooks{
		DropPrivileges: func() error { said("drop privileges"); return nil },
		ChildInit:      func() error { said("child init"); return nil },
		ChildStopping:  func(graceful bool) { said(fmt.Sprintf("stopping %v", graceful)) },
		ChildStopped:   func(graceful bool) { said(fmt.Sprintf("stopped %v", graceful)) },
		FatalException: func(what mpm.FatalException) {
			tell(path, "crash: signal %d, handler %v", what.Signal, strings.Contains(string(what.Stack), "greeter"))
		},
	})
	late := c.RegisterTimedCallback(time.Hour, func() { tell(path, "an hour has passed") })
	soon := c.RegisterTimedCallback(time.Millisecond, func() { tell(path, "timed") })
	tell(path, "wish: %v, %v", late, soon)
	return err
}

// told waits until a line that begins with each of want is in the file.
func (s *server) told(path string, want ...string) string {
	s.Helper()
	var text string
	s.until(fmt.Sprintf("lines %q", want), func(Snapshot) bool {
		raw, _ := os.ReadFile(path)
		text = "\n" + string(raw)
		for _, w := range want {
			if !strings.Contains(text, "\n"+w) {
				return false
			}
		}
		return true
	})
	return text
}

func TestTheHooksOfCandidateAndChildRun(t *testing.T) {
	for _, model := range []mpm.Model{mpm.Prefork, mpm.Worker} {
		t.Run(model.String(), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "told")
			change := func(c *testConfig) {
				c.Greeting, c.Options.MaxConnectionsPerChild, c.Options.StartServers = "hooks:"+path, 1, 1
			}
			s, threads, wish := (*server)(nil), 1, "wish: "+mpm.ErrNotImplemented.Error()
			if model.Threaded() {
				s, threads, wish = startCrew(t, 4, 3, change), 3, "wish: <nil>, <nil>"
			} else {
				s = startServer(t, change)
			}
			if err := s.ping(""); err != nil {
				t.Fatal(err)
			}
			as := fmt.Sprintf("threads %d, <nil>", threads)
			text := s.told(path, "pre config", "check config", "drop privileges: phase 0, "+as, "child init: phase 0, "+as,
				"stopping true: phase 2, "+as, "stopped true: phase 2, "+as, wish)
			order := -1
			for _, line := range []string{"pre config", "check config", "drop privileges", "child init", "wish", "stopping", "stopped"} {
				at := strings.Index(text, "\n"+line)
				if at < order {
					t.Errorf("%s comes too early:%s", line, text)
				}
				order = at
			}
			if model.TimedCallbacks() {
				text = s.told(path, "timed")
			}
			if strings.Contains(text, "an hour") || model == mpm.Prefork && strings.Contains(text, "timed") {
				t.Errorf("a callback ran that should not:%s", text)
			}
			s.cfg.Options.StartServers = 13
			s.write()
			if r := s.ask(Reload); len(r.Errors) != 1 || !strings.Contains(r.Errors[0], "13 is no number") {
				t.Errorf("a reload against the check-config hook: %+v", r)
			}
			if got, err := s.master.Query(mpm.QueryMaxThreads); got != threads || err != nil {
				t.Errorf("the master answers %d, %v; want %d threads", got, err, threads)
			}
		})
	}
}

// A crash is reported by the child itself, but for a child of root.
func TestACrashRunsTheHook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "told")
	s := startServer(t, func(c *testConfig) { c.Greeting = "hooks:" + path })
	crash := func() int {
		conn, _, pid, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("crash"))
		for {
			if _, err := conn.Read(make([]byte, 16)); err != nil {
				return pid
			}
		}
	}
	died := func(pid int) {
		s.until("the child is gone", func(now Snapshot) bool {
			for _, slot := range now.Slots {
				if slot.PID == pid {
					return false
				}
			}
			return true
		})
	}
	died(crash())
	conn, _, pid, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := unix.Kill(pid, unix.SIGSEGV); err != nil {
		t.Fatal(err)
	}
	died(pid)
	if os.Geteuid() != 0 {
		s.told(path, "crash: signal 0, handler true", "crash: signal 11, handler false")
		return
	}
	if raw, _ := os.ReadFile(path); strings.Contains(string(raw), "crash:") {
		t.Errorf("a child of root reports its crash:\n%s", raw)
	}
}
