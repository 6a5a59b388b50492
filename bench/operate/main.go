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
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/apphost/apphost/bench/internal/probe"
)

// patience bounds each round, less the rest in it.
const patience = 2 * time.Minute

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
	binary := filepath.Join(scratch, "apphost")
	if err := probe.Command(nil, "go", "build", "-o", binary, "./cmd/apphost"); err != nil {
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
	if err := os.MkdirAll(filepath.Join(p.dir, "plugins"), 0o700); err != nil {
		return err
	}
	wasm, err := os.ReadFile("plugins/hello.wasm")
	if err != nil {
		return err
	}
	config := fmt.Sprintf(`[log]
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
`, p.children, p.children+1, p.children, 2*p.children)
	return errors.Join(
		os.WriteFile(filepath.Join(p.dir, "plugins", "hello.wasm"), wasm, 0o600),
		os.WriteFile(filepath.Join(p.dir, "config.toml"), []byte(config), 0o600))
}

// round starts the server, watches it at rest, reloads it and stops it.
func (p *pool) round(binary string, rest time.Duration) (r round, err error) {
	cmd := exec.Command(binary, "-c", "config.toml")
	cmd.Dir = p.dir
	cmd.Env = append(cmd.Environ(), "XDG_RUNTIME_DIR="+p.dir)
	pipe, err := cmd.StderrPipe()
	if err != nil {
		return r, err
	}
	if err := cmd.Start(); err != nil {
		return r, err
	}
	kill := time.AfterFunc(patience+rest, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	log := bufio.NewScanner(pipe)
	if _, err := await(log, "serving"); err != nil {
		return r, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	err = p.watch(cmd.Process.Pid, rest, &r)
	asked := time.Now()
	err = errors.Join(err, cmd.Process.Signal(syscall.SIGUSR1))
	served, fault := await(log, "serving")
	r.reload = milliseconds(served.Sub(asked))
	if err = errors.Join(err, fault); err == nil {
		err = p.settle(cmd.Process.Pid)
	}
	asked = time.Now()
	err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM))
	for log.Scan() { // until every process is gone
	}
	err = errors.Join(err, cmd.Wait())
	r.stop = milliseconds(time.Since(asked))
	return r, err
}

// settle waits for the old generation's last child to be gone.
func (p *pool) settle(master int) error {
	deadline := time.After(patience)
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

// await reads the log up to a message, and returns when it was logged.
func await(log *bufio.Scanner, message string) (time.Time, error) {
	for log.Scan() {
		var e struct {
			Time time.Time
			Msg  string
		}
		if json.Unmarshal(log.Bytes(), &e) == nil && e.Msg == message {
			return e.Time, nil
		}
	}
	return time.Time{}, fmt.Errorf("the server ended without saying %q", message)
}

// watch looks at a server at rest.
func (p *pool) watch(master int, rest time.Duration, r *round) error {
	if rest == 0 {
		return nil
	}
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
	return memory(master, children, r)
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

func memory(master int, children []int, r *round) error {
	var all []int
	whole := 0
	for _, pid := range children {
		kib, err := probe.PSS(pid)
		if err != nil {
			return err
		}
		whole += kib
		all = append(all, kib)
	}
	kib, err := probe.PSS(master)
	if err != nil {
		return err
	}
	r.childPSS, r.masterPSS, r.allPSS = mebibytes(probe.Median(all)), mebibytes(kib), mebibytes(whole+kib)
	return nil
}

func mebibytes(kib int) float64 { return float64(kib) / 1024 }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// report prints medians, and the range behind them.
func report(w io.Writer, pools []*pool, rest time.Duration) error {
	fmt.Fprintf(w, "%d rounds each in turns, at rest for %s, median (least to most)\n", len(pools[0].rounds), rest)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "children\tSIGUSR1 to serving, ms\tSIGTERM to exit, ms\tmaster CPU, %\tchildren CPU, %\tchild PSS, MiB\tmaster PSS, MiB\tall, MiB")
	for _, p := range pools {
		column := func(form string, of func(round) float64) string {
			var all []float64
			for _, r := range p.rounds {
				all = append(all, of(r))
			}
			slices.Sort(all)
			return fmt.Sprintf(strings.ReplaceAll("F (F to F)", "F", form), all[len(all)/2], all[0], all[len(all)-1])
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
