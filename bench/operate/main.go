// Command operate measures what it takes to operate the server with so many
// children: from SIGUSR1 to the new generation serving and no older one
// accepting, from SIGTERM to the exit of an idle server, the share of a core that the master and its children
// take at rest, and the proportional set size (PSS) of a child and of the
// master. The guest is hello, 1 KB of C.
//
// Run it from the top of the repository, with nothing else running:
//
//	go run ./bench/operate
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/apphost/apphost/bench/internal/launch"
	"github.com/apphost/apphost/bench/internal/probe"
)

func main() {
	rounds := flag.Int("rounds", 7, "rounds for each number of children")
	children := flag.String("children", "5,64,256", "numbers of children")
	rest := flag.Duration("rest", 10*time.Second, "how long to watch a server at rest in each round")
	flag.Parse()
	if err := run(*rounds, *children, *rest, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "operate:", err)
		os.Exit(1)
	}
}

// pool is a server with some number of children.
type pool struct {
	children int
	dir      string
	rounds   []round
}

// round is what one life of the server took.
type round struct {
	reload, stop        float64 // ms
	masterCPU, childCPU float64 // percent of a core; the latter of all children together
	childPSS, masterPSS float64 // MiB; the first of the median child
	allPSS              float64 // MiB; of all processes together
}

func run(rounds int, list string, rest time.Duration, w io.Writer) error {
	scratch, err := os.MkdirTemp("", "apphost-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	binary, err := launch.Build(scratch)
	if err != nil {
		return err
	}
	var pools []*pool
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(word)
		if err != nil {
			return fmt.Errorf("-children: %w", err)
		}
		p := &pool{children: n, dir: filepath.Join(scratch, word)}
		if err := p.prepare(); err != nil {
			return err
		}
		pools = append(pools, p)
	}
	for i := range rounds + 1 { // the first fills the cache of compiled code
		for _, p := range pools {
			watched := rest
			if i == 0 {
				watched = 0
			}
			r, err := p.round(binary, watched)
			if err != nil {
				return fmt.Errorf("round %d with %d children: %w", i, p.children, err)
			}
			if i > 0 {
				p.rounds = append(p.rounds, r)
			}
		}
	}
	return report(w, pools, rest)
}

func (p *pool) prepare() error {
	return launch.Prepare(p.dir, fmt.Sprintf(`[log]
format = "json"
[mpm]
start_servers = %d
min_spare_servers = 1
max_spare_servers = %d
max_request_workers = %d
server_limit = %d
[plugins]
cache_dir = "cache"
[[listen]]
address = "127.0.0.1:0"
`, p.children, p.children+1, p.children, 2*p.children), map[string]string{"hello": "plugins/hello.wasm"})
}

// round starts the server, watches it at rest, reloads it and stops it.
func (p *pool) round(binary string, rest time.Duration) (r round, err error) {
	s, err := launch.Start(binary, p.dir)
	if err != nil {
		return r, err
	}
	defer func() {
		stop, fault := s.Stop(syscall.SIGTERM, launch.Patience)
		r.stop, err = probe.Milliseconds(stop), errors.Join(err, fault)
	}()
	ctx := context.Background()
	if _, err := s.Await(ctx, "serving"); err != nil {
		return r, err
	}
	if err := p.watch(s, rest, &r); err != nil {
		return r, err
	}
	asked := time.Now()
	if err := s.Signal(syscall.SIGUSR1); err != nil {
		return r, err
	}
	served, err := s.Await(ctx, "serving")
	if err != nil {
		return r, err
	}
	r.reload = probe.Milliseconds(served.Time.Sub(asked))
	return r, p.settle(s.PID())
}

// settle waits for the old generation's last child to be gone.
func (p *pool) settle(master int) error {
	deadline := time.After(launch.Patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		children, err := probe.Children(master)
		if err != nil || len(children) == p.children {
			return err
		}
		select {
		case <-deadline:
			return fmt.Errorf("there are %d children, want %d", len(children), p.children)
		case <-tick.C:
		}
	}
}

// watch looks at a server at rest.
func (p *pool) watch(s *launch.Server, rest time.Duration, r *round) error {
	if rest == 0 {
		return nil
	}
	master := s.PID()
	children, err := probe.Children(master)
	if err != nil {
		return err
	}
	if len(children) != p.children {
		return fmt.Errorf("there are %d children, want %d", len(children), p.children)
	}
	<-time.After(time.Second) // what belongs to the start is over then
	masterBefore, childrenBefore, err := cpu(master, children)
	if err != nil {
		return err
	}
	<-time.After(rest)
	masterAfter, childrenAfter, err := cpu(master, children)
	if err != nil {
		return err
	}
	r.masterCPU = 100 * (masterAfter - masterBefore).Seconds() / rest.Seconds()
	r.childCPU = 100 * (childrenAfter - childrenBefore).Seconds() / rest.Seconds()
	ofMaster, ofChildren, err := s.Memory()
	whole := ofMaster
	for _, kib := range ofChildren {
		whole += kib
	}
	r.childPSS, r.masterPSS, r.allPSS = probe.Mebibytes(probe.Median(ofChildren)), probe.Mebibytes(ofMaster), probe.Mebibytes(whole)
	return err
}

func cpu(master int, children []int) (ofMaster, ofChildren time.Duration, err error) {
	if ofMaster, err = probe.CPU(master); err != nil {
		return 0, 0, err
	}
	for _, pid := range children {
		one, err := probe.CPU(pid)
		if err != nil {
			return 0, 0, err
		}
		ofChildren += one
	}
	return ofMaster, ofChildren, nil
}

// report prints medians, and the range behind them.
func report(w io.Writer, pools []*pool, rest time.Duration) error {
	fmt.Fprintf(w, "%d rounds each in turns, at rest for %s, median (least to most)\n", len(pools[0].rounds), rest)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "children\tSIGUSR1 to serving, ms\tSIGTERM to exit, ms\tmaster CPU, %\tchildren CPU, %\tchild PSS, MiB\tmaster PSS, MiB\tall, MiB")
	for _, p := range pools {
		column := func(form string, of func(round) float64) string {
			return probe.Range(form, probe.Each(p.rounds, of))
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.children,
			column("%.0f", func(r round) float64 { return r.reload }),
			column("%.0f", func(r round) float64 { return r.stop }),
			column("%.3f", func(r round) float64 { return r.masterCPU }),
			column("%.2f", func(r round) float64 { return r.childCPU }),
			column("%.1f", func(r round) float64 { return r.childPSS }),
			column("%.1f", func(r round) float64 { return r.masterPSS }),
			column("%.0f", func(r round) float64 { return r.allPSS }))
	}
	return t.Flush()
}
