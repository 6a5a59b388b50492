package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/apphost/apphost/cmd/apphost/internal/config"
	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/listen"
	"github.com/apphost/apphost/mpm/prefork"
)

// candidateSlot is the slot that a candidate's host reports: it has none.
const candidateSlot = -1

// runCandidate is the candidate's role: read the configuration, compile and
// try every plugin, and leave a generation image behind or say why not.
func runCandidate(args []string) int {
	prefork.Prepare("apphost-check")
	c, err := prefork.OpenCandidate(args, os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, "apphost:", err)
		return exitFailed
	}
	if err := tryOut(c); err != nil {
		c.Fail(err)
		return exitFailed
	}
	return exitDone
}

func tryOut(c *prefork.Candidate) error {
	c.Step("read " + c.ConfigPath)
	settings, err := config.Load(c.ConfigPath)
	if err != nil {
		return errors.Join(err, inspectAll(err))
	}
	for _, w := range settings.Warnings {
		c.Warn(w)
	}
	c.Timeout(settings.MPM.CandidateTimeout)

	hostConfig := settings.Host
	hostConfig.Slot = candidateSlot
	said := &reporter{warn: c.Warn}
	hostConfig.Logger = slog.New(reportHandler{to: said})
	hostConfig.Progress = c.Step
	c.Step("resolve the listeners' addresses")
	unresolved := resolve(settings.MPM.Listeners)
	h, err := host.New(context.Background(), hostConfig)
	if err != nil {
		return errors.Join(unresolved, said.explain(err))
	}
	if unresolved != nil {
		return errors.Join(unresolved, h.Close())
	}
	for _, p := range h.Plugins() {
		c.Note(note{Plugin: &pluginNote{p.Name, p.ABI, p.Bytes, p.Grants}}.encode())
	}
	for _, l := range settings.Host.Listeners {
		c.Note(note{Listen: &listenerNote{l.Name, l.Protocol, l.Plugin}}.encode())
	}
	if err := h.Close(); err != nil {
		return err
	}
	sections, err := encodeGeneration(settings)
	if err != nil {
		return err
	}
	return c.Done(&settings.MPM, sections)
}

// inspectAll looks at the plugins of a configuration with faults, so that
// whoever mends those need not come back for these.
func inspectAll(err error) error {
	incomplete, ok := errors.AsType[*config.Incomplete](err)
	if !ok {
		return nil
	}
	var faults []error
	for _, p := range incomplete.Plugins {
		if in := host.Inspect(context.Background(), p.Name, p.Wasm); in.Error() != nil {
			faults = append(faults, in.Error())
		}
	}
	return errors.Join(faults...)
}

// resolve replaces names in addresses by numbers, so that the master, which
// must not wait for anyone, need not ask a name server.
// Two listeners that mean the same address are an error: they would be one
// socket.
func resolve(listeners []mpm.Listener) error {
	var errs []error
	taken := make(map[string]string)
	for i := range listeners {
		l := &listeners[i]
		written := l.Address
		if err := listen.Resolve(l); err != nil {
			errs = append(errs, fmt.Errorf("listen on %s: %w", written, err))
			continue
		}
		if other, found := taken[l.Address]; found && !strings.HasSuffix(l.Address, ":0") {
			errs = append(errs, fmt.Errorf("listen on %s: listener %q has that address, too", written, other))
		}
		taken[l.Address] = l.Name
	}
	return errors.Join(errs...)
}
