// Command start measures how fast the server starts and how much memory its
// children take: from start to the first answer, from a child's spawn to its
// readiness, and the proportional set size (PSS) of a child, for a small guest
// in C and a larger one in Go, in turns.
//
// Run it from the top of the repository, with nothing else running:
//
//	go run ./bench/start
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/apphost/apphost/bench/internal/probe"
)

// patience bounds each wait.
const patience = 60 * time.Second

func main() {
	rounds := flag.Int("rounds", 7, "rounds for each guest")
	children := flag.Int("children", 5, "children of the server")
	flag.Parse()
	if err := run(*rounds, *children, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "start:", err)
		os.Exit(1)
	}
}

// guest is one plugin to measure with.
type guest struct {
	name, wasm string
	dir        string
	rounds     []round
}

// round is what one start of the server took.
type round struct {
	answer, ready, stop time.Duration
	childPSS, masterPSS int // in KiB
}

func run(rounds, children int, w io.Writer) error {
	scratch, err := os.MkdirTemp("", "apphost-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	binary := filepath.Join(scratch, "apphost")
	if err := probe.Command(nil, "go", "build", "-o", binary, "./cmd/apphost"); err != nil {
		return err
	}
	goGuest := filepath.Join(scratch, "forms.wasm")
	env := []string{"GOOS=wasip1", "GOARCH=wasm"}
	if err := probe.Command(env, "go", "build", "-buildmode=c-shared", "-o", goGuest, "./examples/forms"); err != nil {
		return err
	}
	guests := []*guest{{name: "hello", wasm: "plugins/hello.wasm"}, {name: "forms", wasm: goGuest}}
	for _, g := range guests {
		g.dir = filepath.Join(scratch, g.name)
		if err := g.prepare(children); err != nil {
			return err
		}
	}
	for i := range rounds + 1 { // the first fills the cache of compiled code
		for _, g := range guests {
			r, err := g.round(binary)
			if err != nil {
				return fmt.Errorf("round %d of %s: %w", i, g.name, err)
			}
			if i > 0 {
				g.rounds = append(g.rounds, r)
			}
		}
	}
	return report(w, guests, children)
}

func (g *guest) prepare(children int) error {
	if err := os.MkdirAll(filepath.Join(g.dir, "plugins"), 0o700); err != nil {
		return err
	}
	wasm, err := os.ReadFile(g.wasm)
	if err != nil {
		return err
	}
	config := fmt.Sprintf(`[log]
level = "debug"
format = "json"
[mpm]
start_servers = %d
min_spare_servers = %d
max_spare_servers = %d
[plugins]
cache_dir = "cache"
[[listen]]
address = "127.0.0.1:0"
`, children, children, children+10)
	return errors.Join(
		os.WriteFile(filepath.Join(g.dir, "plugins", g.name+".wasm"), wasm, 0o600),
		os.WriteFile(filepath.Join(g.dir, "config.toml"), []byte(config), 0o600))
}

// round starts the server, asks once, looks at its memory and stops it.
func (g *guest) round(binary string) (r round, err error) {
	cmd := exec.Command(binary, "-c", "config.toml")
	cmd.Dir = g.dir
	cmd.Env = append(cmd.Environ(), "XDG_RUNTIME_DIR="+g.dir)
	log, err := cmd.StderrPipe()
	if err != nil {
		return r, err
	}
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return r, err
	}
	kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	defer func() {
		asked := time.Now()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, log)
		err = errors.Join(err, cmd.Wait())
		r.stop = time.Since(asked)
	}()

	url, ready, err := readLog(log)
	if err != nil {
		return r, err
	}
	if err := answers(url + g.name + "/"); err != nil {
		return r, err
	}
	r.answer, r.ready = time.Since(begun), ready
	if r.masterPSS, err = probe.PSS(cmd.Process.Pid); err != nil {
		return r, err
	}
	r.childPSS, err = childPSS(cmd.Process.Pid)
	return r, err
}

// readLog reads the log until the server serves. It returns the listener's URL
// and the median time from a child's spawn to its readiness.
func readLog(log io.Reader) (url string, ready time.Duration, err error) {
	spawned := make(map[int]time.Time)
	var took []time.Duration
	for lines := bufio.NewScanner(log); lines.Scan(); {
		var e struct {
			Time time.Time
			Msg  string
			PID  int
			URL  string
		}
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		switch e.Msg {
		case "child spawned":
			spawned[e.PID] = e.Time
		case "child is ready":
			took = append(took, e.Time.Sub(spawned[e.PID]))
		case "listening":
			url = e.URL
		case "serving":
			return url, probe.Median(took), nil
		}
	}
	return "", 0, errors.New("the server ended before it served")
}

func answers(url string) error {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: patience}).DialContext,
	}}
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: status %s", url, res.Status)
	}
	return nil
}

// childPSS is the median over the children of a master.
func childPSS(master int) (int, error) {
	children, err := probe.Children(master)
	if err != nil {
		return 0, err
	}
	var all []int
	for _, pid := range children {
		kib, err := probe.PSS(pid)
		if err != nil {
			return 0, err
		}
		all = append(all, kib)
	}
	return probe.Median(all), nil
}

// report prints medians, and the range behind them.
func report(w io.Writer, guests []*guest, children int) error {
	fmt.Fprintf(w, "%d children, %d rounds each in turns, median (least to most)\n", children, len(guests[0].rounds))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "guest\tstart to answer, ms\tspawn to ready, ms\tstop, ms\tchild PSS, MiB\tmaster PSS, MiB")
	for _, g := range guests {
		column := func(of func(round) float64) string {
			var all []float64
			for _, r := range g.rounds {
				all = append(all, of(r))
			}
			slices.Sort(all)
			return fmt.Sprintf("%.1f (%.1f to %.1f)", all[len(all)/2], all[0], all[len(all)-1])
		}
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", g.name,
			column(func(r round) float64 { return ms(r.answer) }),
			column(func(r round) float64 { return ms(r.ready) }),
			column(func(r round) float64 { return ms(r.stop) }),
			column(func(r round) float64 { return float64(r.childPSS) / 1024 }),
			column(func(r round) float64 { return float64(r.masterPSS) / 1024 }))
	}
	return t.Flush()
}
