package launch_test

import (
	"bufio"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/bench/internal/launch"
	"github.com/apphost/apphost/bench/internal/probe"
)

// shell runs a script that says when it is set up, and returns then.
func shell(t *testing.T, script string) *launch.Process {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	out, in, err := os.Pipe() // of our own, for one of exec.Cmd is closed when the shell ends
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout = in
	p, err := launch.Run(cmd, nil)
	_ = in.Close()
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "up\n" {
		t.Fatalf("the script says %q, %v", line, err)
	}
	return p
}

func TestStopEndsWhatDoesNotWantTo(t *testing.T) {
	p := shell(t, "trap '' TERM; sleep 600 & echo up; wait; wait")
	tree, err := p.Tree()
	if err != nil || len(tree) != 2 {
		t.Fatalf("tree %v, %v; want the shell and its child", tree, err)
	}
	if _, err := p.Stop(syscall.SIGTERM, 10*time.Millisecond); err == nil || !strings.Contains(err.Error(), "did not end") {
		t.Errorf("error %v", err)
	}
	wantEmptyGroup(t, p)
}

func TestWhatAServerLeavesBehindIsEnded(t *testing.T) {
	p := shell(t, "sleep 600 & echo up")
	<-p.Ended()
	if err := p.End(); err == nil || !strings.Contains(err.Error(), "left behind") {
		t.Errorf("error %v", err)
	}
	wantEmptyGroup(t, p)
}

func TestAServerThatEndsAsToldIsFine(t *testing.T) {
	p := shell(t, "echo up; exec sleep 600")
	if err := p.End(); err != nil {
		t.Error(err)
	}
	wantEmptyGroup(t, p)
}

// A killed process is gone when its parent, which may be init, has noticed.
func wantEmptyGroup(t *testing.T, p *launch.Process) {
	t.Helper()
	deadline := time.After(launch.Patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		left, err := probe.Group(p.PID())
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("processes %v are left", slices.Sorted(slices.Values(left)))
		case <-tick.C:
		}
	}
}
