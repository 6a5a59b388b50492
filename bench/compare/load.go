package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/apphost/apphost/bench/internal/launch"
	"github.com/apphost/apphost/bench/internal/probe"
)

// warmUp is how long a server is under load before it counts, in shares of a round.
const warmUp = 0.15

// counted is what the client has counted; see load/load.c.
type counted struct {
	All     int     `json:"all"` // the warm-up included
	Done    int     `json:"done"`
	Failed  int     `json:"failed"`
	Seconds float64 `json:"seconds"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	cpu     time.Duration
}

// rate is what was done in a second.
func (c counted) rate() float64 { return float64(c.Done) / c.Seconds }

// cpuMicros is the processor time of the server for each.
func (c counted) cpuMicros() float64 { return float64(c.cpu.Nanoseconds()) / 1000 / float64(c.All) }

func (b *bed) client() (string, error) { return b.cProgram("load", "bench/load/load.c") }

// arguments are those of the client.
func arguments(mode string, s running, connections, threads int, length time.Duration) []string {
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	return []string{
		mode, strconv.Itoa(s.port), strconv.Itoa(connections), strconv.Itoa(threads),
		ms(time.Duration(warmUp * float64(length))), ms(length), s.path,
	}
}

// load puts a server under load for a round.
func (b *bed) load(s running, mode string, connections int) (c counted, err error) {
	client, err := b.client()
	if err != nil {
		return c, err
	}
	// To read what hundreds of processes have used takes a while, and so it is done
	// while there is no load.
	before, err := treeCPU(s.proc)
	if err != nil {
		return c, err
	}
	var faults strings.Builder
	ctx, cancel := context.WithTimeout(b.ctx, launch.Patience+2*b.length)
	defer cancel()
	cmd := exec.CommandContext(ctx, client, arguments(mode, s, connections, b.threads, b.length)...)
	cmd.Stderr = &faults
	out, err := cmd.Output()
	if err != nil {
		return c, errors.Join(err, noted(faults.String()))
	}
	after, err := treeCPU(s.proc)
	if err = errors.Join(err, json.Unmarshal(out, &c)); err != nil {
		return c, err
	}
	if c.Done == 0 {
		return c, fmt.Errorf("nothing was answered, and %d failed", c.Failed)
	}
	c.cpu = after - before
	return c, nil
}

func noted(text string) error {
	if text = strings.TrimSpace(text); text == "" {
		return nil
	}
	return errors.New(text)
}

// treeCPU is how long a server and all below it have run.
func treeCPU(p *launch.Process) (time.Duration, error) {
	var sum time.Duration
	err := each(p, func(pid int) error {
		one, err := probe.CPU(pid)
		sum += one
		return err
	})
	return sum, err
}

// treePSS is their memory in MiB.
func treePSS(p *launch.Process) (float64, error) {
	var sum float64
	err := each(p, func(pid int) error {
		kib, err := probe.PSS(pid)
		sum += probe.Mebibytes(kib)
		return err
	})
	return sum, err
}

func each(p *launch.Process, do func(pid int) error) error {
	tree, err := p.Tree()
	for _, pid := range tree {
		err = errors.Join(err, do(pid))
	}
	return err
}
