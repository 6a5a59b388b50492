package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// part is what a server's time goes to. A sample belongs to the first part, in the
// order of parts, that a function of its stack is of.
type part struct {
	name string
	// frames are beginnings of functions' names. leaf looks at the innermost functions
	// first, so that a part is that of who does the work; otherwise any of the stack will do.
	frames []string
	leaf   bool
}

// unnamed is code that perf has no name for, such as an engine's.
const unnamed = "[unknown]"

const (
	otherKernel = "other of the kernel"
	otherCode   = "code of other servers"
)

// kernelParts are told by the system call, but for the switching that happens in it.
var kernelParts = []part{
	{name: "switching, and going to sleep", frames: []string{"__schedule", "schedule"}},
	{name: "finding what a guest wrote", frames: []string{"pagemap_", "do_pagemap_"}},
	{name: "accepting", frames: []string{"do_accept", "__sys_accept4"}},
	{name: "closing", frames: []string{"__fput", "fput_close", "__x64_sys_close", "__sys_shutdown"}},
	{name: "sending, and what that wakes", frames: []string{"__sys_sendto", "ksys_write", "do_writev", "__sys_sendmsg", "vfs_writev", "do_sendfile", "__x64_sys_sendfile64"}},
	{name: "reading", frames: []string{"ksys_read", "__sys_recvfrom", "do_readv", "vfs_readv"}},
	{name: "waiting for events", frames: []string{"do_epoll_", "ep_", "do_sys_poll", "__x64_sys_epoll", "__x64_sys_poll"}},
}

// codeParts are told by the innermost function that is of one.
var codeParts = []part{
	{name: "guest, and what it calls", leaf: true, frames: []string{
		unnamed, "github.com/tetratelabs/wazero/", "github.com/apphost/apphost/host/abi/", "github.com/apphost/apphost/host/guest",
		"github.com/apphost/apphost/host/internal/mem",
	}},
	{name: "HTTP", leaf: true, frames: []string{"github.com/valyala/fasthttp", "github.com/apphost/apphost/host", "net/http"}},
	{name: "process model", leaf: true, frames: []string{"github.com/apphost/apphost/mpm", "main.runChild"}},
	{name: "Go's scheduler and collector", leaf: true, frames: []string{"runtime."}},
}

// parted is the name of the part that a stack, innermost function first, is of.
func parted(stack []string, kernel bool) string {
	parts, other := codeParts, otherCode
	if kernel {
		parts, other = kernelParts, otherKernel
	}
	var found string
	for _, p := range parts {
		if !p.leaf && slices.ContainsFunc(stack, p.has) {
			return p.name
		}
	}
	for _, function := range stack {
		if i := slices.IndexFunc(parts, func(p part) bool { return p.leaf && p.has(function) }); i >= 0 {
			// What the runtime does for somebody is that one's.
			if found = parts[i].name; i < len(parts)-1 {
				return found
			}
		}
	}
	if found != "" {
		return found
	}
	return other
}

func (p part) has(function string) bool {
	return slices.ContainsFunc(p.frames, func(f string) bool { return strings.HasPrefix(function, f) })
}

// shares reads what "perf script -F ip,sym" prints, and counts the samples of each
// part. Of servers without guests, what has no name is their own code.
func shares(script io.Reader, guests bool) (counts map[string]int, all int, err error) {
	counts = map[string]int{}
	var stack []string
	var kernel bool
	flush := func() {
		if len(stack) > 0 {
			counts[parted(stack, kernel)]++
			all++
		}
		stack, kernel = stack[:0], false
	}
	lines := bufio.NewScanner(script)
	for lines.Scan() {
		address, function, ok := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		if !ok {
			flush()
			continue
		}
		if len(stack) == 0 { // the upper half of addresses is the kernel's
			kernel = len(address) == 16 && address[0] >= '8'
		}
		if function == unnamed && !guests {
			function = otherCode
		}
		stack = append(stack, function)
	}
	flush()
	return counts, all, lines.Err()
}

// profile says what the time of each of those in the case goes to, for a request.
func (s spec) profile(b *bed) (err error) {
	if s.other != nil {
		return nil
	}
	entrants, err := s.start(b)
	defer func() {
		for _, e := range entrants {
			err = errors.Join(err, e.proc.End())
		}
	}()
	if err != nil {
		return err
	}
	table := map[string][]float64{}
	head, rule := "| µs of processor time each |", "|---|"
	for i, e := range entrants {
		c, err := b.load(e.running, s.mode, s.connections)
		if err != nil {
			return fmt.Errorf("%s: %w", e.series.Name, err)
		}
		counts, all, err := b.sample(e, s)
		if err != nil {
			return fmt.Errorf("%s: %w", e.series.Name, err)
		}
		head, rule = head+" "+e.series.Name+" |", rule+"---|"
		for name, n := range counts {
			if table[name] == nil {
				table[name] = make([]float64, len(entrants))
			}
			table[name][i] = c.cpuMicros() * float64(n) / float64(all)
		}
	}
	fmt.Fprintf(b.out, "\n%s.\n\n%s\n%s\n", s.title, head, rule)
	sum := make([]float64, len(entrants))
	for _, p := range slices.Concat(kernelParts, []part{{name: otherKernel}}, codeParts, []part{{name: otherCode}}) {
		if row := table[p.name]; row != nil {
			b.row(p.name, row)
			for i := range row {
				sum[i] += row[i]
			}
		}
	}
	b.row("all", sum)
	return nil
}

func (b *bed) row(name string, values []float64) {
	fmt.Fprintf(b.out, "| %s |", name)
	for _, v := range values {
		fmt.Fprintf(b.out, " %.1f |", v)
	}
	fmt.Fprintln(b.out)
}

// sample puts a server under load, and looks at it meanwhile.
func (b *bed) sample(e *entrant, s spec) (counts map[string]int, all int, err error) {
	tree, err := e.proc.Tree()
	if err != nil {
		return nil, 0, err
	}
	perf, err := find("perf")
	if err != nil {
		return nil, 0, err
	}
	var pids []string
	for _, pid := range tree {
		pids = append(pids, strconv.Itoa(pid))
	}
	file := filepath.Join(b.scratch, "perf.data")
	record := exec.CommandContext(b.ctx, perf, "record", "-q", "-g", "-F", "2999", "-e", "cpu-clock", "-o", file, "-p", strings.Join(pids, ","))
	var faults strings.Builder
	record.Stderr = &faults
	if err := record.Start(); err != nil {
		return nil, 0, fmt.Errorf("start perf: %w", err)
	}
	_, err = b.load(e.running, s.mode, s.connections)
	_ = record.Process.Signal(os.Interrupt)
	_ = record.Wait() // it says that it was interrupted
	if err != nil {
		return nil, 0, err
	}
	script, err := exec.CommandContext(b.ctx, perf, "script", "-i", file, "-F", "ip,sym").Output()
	if err != nil {
		return nil, 0, fmt.Errorf("read what perf has recorded: %w", err)
	}
	counts, all, err = shares(strings.NewReader(string(script)), e.series.Ours)
	if err == nil && all == 0 {
		err = errors.Join(errors.New("perf has seen nothing of it"), noted(faults.String()))
	}
	return counts, all, err
}
