package main

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"math"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apphost/apphost/bench/internal/launch"
	"github.com/apphost/apphost/bench/internal/probe"
	"github.com/apphost/apphost/bench/internal/result"
)

// The names of BenchmarkFreshness of host/guest.
const (
	resetC  = "C, put back"
	resetGo = "Go, put back"
)

var resetNames = map[string]string{
	"c/reset": resetC, "c/new": "C, made anew",
	"go/reset": resetGo, "go/new": "Go, made anew",
}

// measureReset runs the benchmark of package host/guest, once for each round.
func measureReset(b *bed) ([]result.Series, error) {
	binary, err := b.build("guest.test", func(path string) error {
		return probe.Command(nil, "go", "test", "-c", "-o", path, "./host/guest")
	})
	if err != nil {
		return nil, err
	}
	values := map[string][]float64{}
	for range b.rounds {
		cmd := exec.CommandContext(b.ctx, binary, "-test.run=^$", "-test.bench=^BenchmarkFreshness$", "-test.benchtime="+(b.length/4).String())
		cmd.Dir = "host/guest"
		out, err := cmd.CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", cmd, err, out)
		}
		for name, ns := range benchMedians(string(out)) {
			values[name] = append(values[name], ns/1000)
		}
	}
	var all []result.Series
	for _, name := range slices.Sorted(maps.Keys(resetNames)) {
		all = append(all, result.Series{Name: resetNames[name], Ours: strings.HasSuffix(name, "reset"), Values: values[name]})
	}
	return all, nil
}

var benchLine = regexp.MustCompile(`(?m)^Benchmark\w+/(\S+?)(?:-\d+)?\s.*?([\d.e+]+) ns/median`)

// benchMedians are the medians that go test has printed, by the names of the
// parts of the benchmark.
func benchMedians(out string) map[string]float64 {
	medians := map[string]float64{}
	for _, m := range benchLine.FindAllStringSubmatch(out, -1) {
		if ns, err := strconv.ParseFloat(m[2], 64); err == nil {
			medians[m[1]] = ns
		}
	}
	return medians
}

// idleSetup is children that wait for connections.
func idleSetup(guest string, children int) setup {
	protocol := "tcp"
	if guest == "hello" {
		protocol = "http"
	}
	return setup{model: "prefork", children: children, protocol: protocol, guest: guest, debug: true}
}

func spawnTime(s *launch.Server) (float64, error) {
	took := s.ReadyTimes()
	if len(took) == 0 {
		return 0, errors.New("the log has no child that got ready")
	}
	return probe.Milliseconds(probe.Median(took)), nil
}

func childMemory(s *launch.Server) (float64, error) {
	_, all, err := s.Memory()
	return probe.Mebibytes(probe.Median(all)), err
}

// measureChildren starts a server of each setup in turns, and measures it while
// it is idle. The first start fills the cache of compiled code and is not counted.
func measureChildren(b *bed, children int, setups map[string]setup, of func(*launch.Server) (float64, error)) ([]result.Series, error) {
	names := slices.Sorted(maps.Keys(setups))
	dirs := map[string]string{}
	all := make([]result.Series, len(names))
	for i, name := range names {
		dir, err := setups[name].prepare(b)
		if err != nil {
			return nil, err
		}
		dirs[name] = dir
		all[i] = result.Series{Name: name, Ours: true}
	}
	for round := range b.rounds + 1 {
		for i, name := range names {
			value, err := b.measureIdleServer(setups[name], dirs[name], children, of)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if round > 0 {
				all[i].Values = append(all[i].Values, value)
			}
		}
	}
	return all, nil
}

func (b *bed) measureIdleServer(u setup, dir string, children int, of func(*launch.Server) (float64, error)) (value float64, err error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	s, _, err := u.launch(b, dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.End()) }()
	if there, err := probe.Children(s.PID()); err != nil || len(there) != children {
		return 0, errors.Join(err, fmt.Errorf("there are %d children, want %d", len(there), children))
	}
	return of(s)
}

// idleConnections are on two children, so that one has enough descriptors.
const (
	idleConnections = 10000
	idleName        = "apphost worker"
)

// measureIdle opens connections that each ask once, and sees what that adds to
// the memory of the server.
func measureIdle(b *bed) ([]result.Series, error) {
	u := setup{model: "worker", children: workerChildren, threads: idleConnections, protocol: "http", guest: "hello"}
	dir, err := u.prepare(b)
	if err != nil {
		return nil, err
	}
	series := result.Series{Name: idleName, Ours: true}
	for range b.rounds {
		bytes, err := b.idleRound(u, dir)
		if err != nil {
			return nil, err
		}
		series.Values = append(series.Values, bytes/1000)
	}
	return []result.Series{series}, nil
}

// idleRound is one start of the server, and the bytes of one connection.
func (b *bed) idleRound(u setup, dir string) (bytes float64, err error) {
	client, err := b.client()
	if err != nil {
		return 0, err
	}
	s, r, err := u.launch(b, dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.End()) }()
	before, err := treePSS(s.Process)
	if err != nil {
		return 0, err
	}
	var faults strings.Builder
	cmd := exec.CommandContext(b.ctx, client, arguments("idle", r, idleConnections, b.threads, 0)...)
	cmd.Stderr = &faults
	hold, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer time.AfterFunc(2*launch.Patience, func() { _ = cmd.Process.Kill() }).Stop()
	lines := bufio.NewScanner(out)
	connected := lines.Scan() && lines.Text() == "idle"
	after, err := b.settledPSS(s.Process)
	err = errors.Join(err, hold.Close())
	for lines.Scan() { // to its end
	}
	err = errors.Join(err, cmd.Wait(), noted(faults.String()))
	if err == nil && !connected {
		err = errors.New("the client did not connect")
	}
	return (after - before) * (1 << 20) / idleConnections, err
}

// settleTime is for how long the memory of a server has to be level. Connections are
// parked when they have idled for 1 to 2 s, and what they had is given back 1 s later,
// or 5 s after the last time.
const settleTime = 8 * time.Second

// settledPSS is treePSS once that has not fallen by 1 % for settleTime.
func (b *bed) settledPSS(p *launch.Process) (mebibytes float64, err error) {
	tick := time.NewTicker(settleTime / 16)
	defer tick.Stop()
	late := time.After(launch.Patience)
	lowest, since := math.Inf(1), time.Now()
	for {
		now, err := treePSS(p)
		if err != nil {
			return 0, err
		}
		if now < 0.99*lowest {
			lowest, since = now, time.Now()
		}
		if time.Since(since) >= settleTime {
			return now, nil
		}
		select {
		case <-tick.C:
		case <-late:
			return 0, fmt.Errorf("the memory of the server is not level after %s: %.0f MiB", launch.Patience, now)
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		}
	}
}

// guestPath is where a committed guest of the benchmarks is.
func guestPath(name string) (string, error) {
	return filepath.Abs(filepath.Join("bench/guests", name+".wasm"))
}
