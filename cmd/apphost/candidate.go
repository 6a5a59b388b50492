package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/apphost/apphost/cmd/apphost/internal/config"
	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/listen"
	"github.com/apphost/apphost/mpm/prefork"
)

const warnRoot = "mpm.user: is not set: plugins run as root; name a user that owns nothing, such as one made for this server"

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

	if err := checkFolders(&settings.MPM); err != nil {
		return errors.Join(settings.Locate(err), inspectAll(err))
	}
	c.Step("resolve the listeners' addresses")
	unresolved := settings.Locate(resolve(settings.MPM.Listeners))
	if err := sealAndConfine(c, settings, unresolved == nil); err != nil {
		return errors.Join(unresolved, err)
	}
	hostConfig := settings.Host
	hostConfig.Slot = candidateSlot
	said := &reporter{warn: c.Warn}
	hostConfig.Logger = slog.New(reportHandler{to: said})
	hostConfig.Progress = c.Step
	mountStatus(&hostConfig, settings.Status, nil, hostConfig.Logger) // nobody asks a candidate
	h, err := host.New(context.Background(), hostConfig)
	if err != nil {
		return errors.Join(unresolved, said.explain(settings.Locate(err)))
	}
	if unresolved != nil {
		return errors.Join(unresolved, h.Close())
	}
	for _, line := range notesOf(h, settings.Host.Listeners) {
		c.Note(line)
	}
	if err := h.Close(); err != nil {
		return err
	}
	c.Done()
	return nil
}

// sealAndConfine settles what the generation is, if it is whole, and then gives
// up what this process has of root. Plugins come after that: what one of them
// could make of this process has no say in what the master and the children do.
func sealAndConfine(c *prefork.Candidate, settings *config.Config, whole bool) error {
	p := &settings.MPM.Privileges
	if p.Identity == nil && os.Geteuid() == 0 {
		c.Warn(warnRoot)
	}
	if id := p.Identity; id != nil {
		c.Step("make the code cache")
		dir, err := host.MakeUserCache(p.Chroot, settings.Host.CacheDir, id.UID, id.GID)
		if err != nil {
			return err
		}
		settings.Host.CacheDir = dir
	}
	if whole {
		sections, err := encodeGeneration(settings)
		if err != nil {
			return err
		}
		if err := c.Seal(&settings.MPM, sections); err != nil {
			return err
		}
	}
	return c.Confine(p)
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
			errs = append(errs, addressError(i, fmt.Errorf("listen on %s: %w", written, err)))
			continue
		}
		if other, found := taken[l.Address]; found && !strings.HasSuffix(l.Address, ":0") {
			errs = append(errs, addressError(i, fmt.Errorf("listen on %s: listener %q has that address, too; give each its own", written, other)))
		}
		taken[l.Address] = l.Name
	}
	return errors.Join(errs...)
}

func addressKey(listener int) string { return fmt.Sprintf("listen[%d].address", listener) }

func addressError(listener int, err error) error {
	return &host.SettingError{Key: addressKey(listener), Err: err}
}

// checkFolders finds the files that the master could not make, so that checking
// a configuration says so, too.
func checkFolders(o *mpm.Options) error {
	var errs []error
	check := func(key, path string) {
		if path == "" {
			return
		}
		folder := filepath.Dir(path)
		switch info, err := os.Stat(folder); {
		case err != nil:
			errs = append(errs, &host.SettingError{Key: key, Err: guest.FolderError(folder, err)})
		case !info.IsDir():
			errs = append(errs, &host.SettingError{Key: key, Err: fmt.Errorf("%s is not a folder; name another one", folder)})
		}
	}
	check("log.file", o.ErrorLog)
	check("mpm.pid_file", o.PIDFile)
	for _, l := range o.Logs {
		check("log."+l.Name, l.Path)
	}
	for i := range o.Listeners {
		if path, ok := o.Listeners[i].UnixPath(); ok && !strings.HasPrefix(path, "@") {
			check(addressKey(i), path)
		}
	}
	return errors.Join(errs...)
}
