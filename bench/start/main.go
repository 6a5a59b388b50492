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
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/apphost/apphost/bench/internal/launch"
	"github.com/apphost/apphost/bench/internal/probe"
)

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
	binary, err := launch.Build(scratch)
	if err != nil {
		return err
	}
	goGuest := filepath.Join(scratch, "forms.wasm")
	if err := launch.GoGuest(goGuest, "./examples/forms"); err != nil {
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
	return launch.Prepare(g.dir, fmt.Sprintf(`[log]
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
`, children, children, children+10), map[string]string{g.name: g.wasm})
}

// round starts the server, asks once, looks at its memory and stops it.
func (g *guest) round(binary string) (r round, err error) {
	begun := time.Now()
	s, err := launch.Start(binary, g.dir)
	if err != nil {
		return r, err
	}
	defer func() {
		var fault error
		r.stop, fault = s.Stop(syscall.SIGTERM, launch.Patience)
		err = errors.Join(err, fault)
	}()
	if _, err := s.Await(context.Background(), "serving"); err != nil {
		return r, err
	}
	url, err := s.URL()
	if err != nil {
		return r, err
	}
	if err := answers(url.JoinPath(g.name, "/").String()); err != nil {
		return r, err
	}
	r.answer, r.ready = time.Since(begun), probe.Median(s.ReadyTimes())
	master, all, err := s.Memory()
	r.masterPSS, r.childPSS = master, probe.Median(all)
	return r, err
}

func answers(url string) error {
	client := &http.Client{Timeout: launch.Patience, Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: launch.Patience}).DialContext,
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

// report prints medians, and the range behind them.
func report(w io.Writer, guests []*guest, children int) error {
	fmt.Fprintf(w, "%d children, %d rounds each in turns, median (least to most)\n", children, len(guests[0].rounds))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "guest\tstart to answer, ms\tspawn to ready, ms\tstop, ms\tchild PSS, MiB\tmaster PSS, MiB")
	for _, g := range guests {
		column := func(of func(round) float64) string {
			return probe.Range("%.1f", probe.Each(g.rounds, of))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", g.name,
			column(func(r round) float64 { return probe.Milliseconds(r.answer) }),
			column(func(r round) float64 { return probe.Milliseconds(r.ready) }),
			column(func(r round) float64 { return probe.Milliseconds(r.stop) }),
			column(func(r round) float64 { return probe.Mebibytes(r.childPSS) }),
			column(func(r round) float64 { return probe.Mebibytes(r.masterPSS) }))
	}
	return t.Flush()
}
