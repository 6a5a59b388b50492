// Command compare runs the server side by side with others, round by round in
// turns on loopback, and says which targets are met. README.md of bench tells
// what is compared and what is not fair about it.
//
// Run it from the top of the repository, with nothing else running:
//
//	go run ./bench/compare
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/apphost/apphost/bench/internal/result"
)

// Where a run is written to, from the top of the repository.
const (
	historyFile = "bench/history.jsonl"
	pageFile    = "docs/performance.md"
	plotFile    = "docs/performance.svg"
)

// options are the flags.
type options struct {
	cases, peers *regexp.Regexp
	rounds       int
	length       time.Duration // of each round
	threads      int           // of the client
	list         bool
	profile      bool
	publish      bool
	record       bool
	plot         string
	command      string
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err = run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	cases := flags.String("cases", "", "only the cases whose names match this regular expression; see -list")
	peers := flags.String("peers", "", "only those peers whose names match this regular expression; ours always run")
	flags.IntVar(&o.rounds, "rounds", 5, "how often each is measured in each case")
	flags.DurationVar(&o.length, "length", 2*time.Second, "how long each round is")
	flags.IntVar(&o.threads, "threads", min(2, runtime.NumCPU()), "threads of the client")
	quick := flags.Bool("quick", false, "1 round of 500ms, and nothing is recorded: only to see that all runs")
	flags.BoolVar(&o.list, "list", false, "list the cases and who is in them")
	flags.BoolVar(&o.profile, "profile", false, "say what the processor time of each goes to, by perf; no ratios, nothing is recorded")
	flags.BoolVar(&o.publish, "publish", false, "write the run to "+pageFile+" and "+plotFile+" as well")
	flags.BoolVar(&o.record, "record", true, "add the run to "+historyFile)
	flags.StringVar(&o.plot, "plot", "", "write the plot to this file as well")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.command = strings.TrimSpace("just bench " + strings.Join(args, " "))
	if *quick {
		o.rounds, o.length, o.record = 1, 500*time.Millisecond, false
	}
	var errs [2]error
	o.cases, errs[0] = regexp.Compile(*cases)
	o.peers, errs[1] = regexp.Compile(*peers)
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q is no flag: see -help", flags.Arg(0))
	case o.rounds < 1 || o.length < 10*time.Millisecond || o.threads < 1:
		return o, errors.New("there is at least 1 round, of 10ms, with 1 thread")
	case o.publish && (*quick || o.profile || *cases != "" || *peers != ""):
		return o, errors.New("-publish is for a whole run: leave out -quick, -profile, -cases and -peers")
	}
	return o, errors.Join(errs[:]...)
}

func run(ctx context.Context, o options, w io.Writer) (err error) {
	all := selected(allCases(), o.cases)
	if len(all) == 0 {
		return errors.New("no case has such a name: see -list")
	}
	if o.list {
		return list(w, all)
	}
	b, err := newBed(ctx, o, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if o.profile {
		for _, s := range all {
			if err := s.profile(b); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
		return nil
	}
	r, err := describe(o)
	if err != nil {
		return err
	}
	for _, s := range all {
		fmt.Fprintf(w, "%s: %s\n", s.name, s.title)
		begun := time.Now()
		c, err := s.measure(b)
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted in %s; nothing is recorded", s.name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		c.Judge()
		r.Cases = append(r.Cases, c)
		fmt.Fprintf(w, "\n%s\n%s\ntook %s\n\n", c.Markdown(), result.Run{Cases: []result.Case{c}}.TargetTable(),
			time.Since(begun).Round(100*time.Millisecond))
	}
	r.Skipped = b.skipped()
	fmt.Fprint(w, r.TargetTable())
	return write(o, r)
}

func list(w io.Writer, all []spec) error {
	for _, s := range all {
		fmt.Fprintf(w, "%-16s %s\n", s.name, s.title)
		for _, c := range s.contenders {
			fmt.Fprintf(w, "%-16s   %s\n", "", c.name)
		}
	}
	return nil
}

func selected(all []spec, names *regexp.Regexp) []spec {
	var some []spec
	for _, s := range all {
		if names.MatchString(s.name) {
			some = append(some, s)
		}
	}
	return some
}

// write keeps the run.
func write(o options, r result.Run) error {
	r.Published = o.publish
	var errs []error
	if o.plot != "" {
		errs = append(errs, os.WriteFile(o.plot, []byte(r.SVG()), 0o644))
	}
	if o.publish {
		page, err := os.ReadFile(pageFile)
		if err != nil {
			return err
		}
		text, err := result.Publish(string(page), r)
		if err != nil {
			return fmt.Errorf("%s: %w", pageFile, err)
		}
		errs = append(errs, os.WriteFile(pageFile, []byte(text), 0o644), os.WriteFile(plotFile, []byte(r.SVG()), 0o644))
	}
	if o.record || o.publish {
		errs = append(errs, result.Append(historyFile, r))
	}
	return errors.Join(errs...)
}
