package main

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/apphost/apphost/bench/internal/result"
)

// describe says what is run and where.
func describe(o options) (result.Run, error) {
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return result.Run{}, err
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return result.Run{}, err
	}
	return result.Run{
		Time: time.Now().UTC().Truncate(time.Second), Command: o.command, Commit: commit(),
		Machine: processor(), Cores: runtime.NumCPU(), Kernel: strings.TrimSpace(string(kernel)),
		Go: runtime.Version(), Load: strings.Join(strings.Fields(string(load))[:3], " "),
		Rounds: o.rounds, Seconds: o.length.Seconds(),
	}, nil
}

// commit is what is checked out, with a mark if there are changes.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
