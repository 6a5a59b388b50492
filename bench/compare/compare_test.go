package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/bench/internal/launch"
)

func TestFlags(t *testing.T) {
	o, err := parse([]string{"-quick", "-cases", "^echo", "-peers", "nginx"})
	if err != nil {
		t.Fatal(err)
	}
	if o.rounds != 1 || o.record || o.publish || !o.cases.MatchString("echo-16") || o.cases.MatchString("http-close") {
		t.Errorf("options %+v", o)
	}
	if want := "just bench -quick -cases ^echo -peers nginx"; o.command != want {
		t.Errorf("command %q, want %q", o.command, want)
	}
	for _, args := range [][]string{
		{"echo"},
		{"-cases", "("},
		{"-peers", "("},
		{"-rounds", "0"},
		{"-length", "1ms"},
		{"-threads", "0"},
		{"-publish", "-quick"},
		{"-publish", "-cases", "echo"},
		{"-publish", "-peers", "nginx"},
	} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}

// Each target speaks of who is in its case, so that a name with a slip is not a
// target that is never measured.
func TestTargetsNameWhoIsThere(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range allCases() {
		if seen[s.name] {
			t.Errorf("two cases %s", s.name)
		}
		seen[s.name] = true
		if len(s.targets) == 0 {
			t.Errorf("%s has no target", s.name)
		}
		if s.other != nil {
			continue
		}
		var names []string
		for _, c := range s.contenders {
			names = append(names, c.name)
		}
		for _, target := range s.targets {
			if !slices.Contains(names, target.Of) || target.Against != "" && !slices.Contains(names, target.Against) {
				t.Errorf("%s: %q against %q, of %q", s.name, target.Of, target.Against, names)
			}
		}
	}
}

func TestBenchMediansAreRead(t *testing.T) {
	got := benchMedians(`goos: linux
BenchmarkFreshness/c/reset-2         	  161140	      2178 ns/op	      1893 ns/median	      41 B/op	       0 allocs/op
BenchmarkFreshness/go/new            	     169	   2238547 ns/op	   1.980085e+06 ns/median	  845369 B/op
PASS
`)
	want := map[string]float64{"c/reset": 1893, "go/new": 1980085}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
}

func TestTemplatesAreFilled(t *testing.T) {
	t.Chdir("../..")
	file := filepath.Join(t.TempDir(), "conf")
	values := map[string]string{"DIR": "/d", "PORT": "1", "MPM": "prefork", "MODULES": "/m", "USER": "u", "GROUP": "g", "CHILDREN": "2", "MORE": "3"}
	templates := []string{
		"apache/httpd.conf", "apache/prefork.conf", "apache/event.conf", "apache/echo.conf", "apache/lua.conf",
		"nginx/nginx.conf", "workerd/workerd.capnp",
	}
	if err := fill(file, values, templates...); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("@")) {
		t.Errorf("a name is left:\n%s", text)
	}
	if !bytes.Contains(text, []byte("LoadModule mpm_prefork_module /m/mod_mpm_prefork.so")) {
		t.Errorf("not filled:\n%s", text)
	}
}

// smokeOptions are a run of this server against one that needs Go and nothing else.
func smokeOptions(t *testing.T, args ...string) options {
	t.Helper()
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skipf("the client is written in C: %v", err)
	}
	o, err := parse(append([]string{"-record=false"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("../..")
	dir, err := os.MkdirTemp("", "bench-") //nolint:usetesting // its name would be too long for the sockets in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	return o
}

// The benchmark's way from its flags to its table, once, with real servers.
func TestE2EARunMeasuresAndLeavesNothing(t *testing.T) {
	plot := filepath.Join(t.TempDir(), "plot.svg")
	o := smokeOptions(t, "-cases", "^http-worker$", "-peers", "^net/http$", "-rounds", "2", "-length", "100ms", "-plot", plot)
	var out strings.Builder
	if err := run(t.Context(), o, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"| **" + worker + "** |", "| **" + workerRequest + "** |", "| " + netHTTPName + " |", "| not measured |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
	if _, err := os.Stat(plot); err != nil {
		t.Error(err)
	}
	wantNothingLeft(t)
}

func TestE2EAnInterruptedRunLeavesNothing(t *testing.T) {
	o := smokeOptions(t, "-cases", "^echo-16$", "-peers", "^C epoll", "-length", "60s")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	returned := make(chan error, 1)
	var out strings.Builder
	go func() { returned <- run(ctx, o, &out) }()
	deadline := time.After(launch.Patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for len(runningBelow(t, os.Getenv("TMPDIR"), "load")) == 0 {
		select {
		case err := <-returned:
			t.Fatalf("it ended before there was load: %v", err)
		case <-deadline:
			t.Fatal("there is no load")
		case <-tick.C:
		}
	}
	cancel()
	if err := <-returned; err == nil || !strings.Contains(err.Error(), "interrupted in echo-16") {
		t.Errorf("error %v", err)
	}
	wantNothingLeft(t)
}

func wantNothingLeft(t *testing.T) {
	t.Helper()
	dir := os.Getenv("TMPDIR")
	if left := runningBelow(t, dir, ""); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if entries, err := filepath.Glob(filepath.Join(dir, "apphost-bench-*")); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %q, %v", entries, err)
	}
}

// runningBelow are the programs in dir that run, those of a name if it is not "".
func runningBelow(t *testing.T, dir, name string) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, link := range links {
		exe, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(exe, dir+"/") {
			continue
		}
		if base := strings.TrimSuffix(filepath.Base(exe), " (deleted)"); name == "" || base == name {
			found = append(found, link+" "+exe)
		}
	}
	return found
}
