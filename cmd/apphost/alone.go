package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/apphost/apphost/cmd/apphost/internal/config"
	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/mpm/prefork"
)

// runAlone serves in this one process, for a debugger. It logs to standard
// error, whatever the configuration says, and stays the user who starts it.
func runAlone(configPath string) error {
	settings, err := config.Load(configPath)
	if err != nil {
		return errors.Join(err, inspectAll(err))
	}
	warnings := settings.Warnings
	switch id := settings.MPM.Privileges.Identity; {
	case id != nil: // or plugins had all that root has, in spite of the setting
		return fmt.Errorf("mpm.user: one process (-X) does not become another user; start it as that one: runuser -u '%s' -- apphost -X -c %s", id.User, configPath)
	case os.Geteuid() == 0:
		warnings = append(warnings, warnRoot)
	}
	if settings.Status.Path != "" {
		warnings = append(warnings, "status.path: one process (-X) has no status page")
	}
	if err := resolve(settings.MPM.Listeners); err != nil {
		return settings.Locate(err)
	}
	log := newLogger(os.Stderr, settings.Log)
	hostConfig := settings.Host
	hostConfig.Generation, hostConfig.Logger = 1, log
	if len(settings.MPM.Logs) > 0 {
		hostConfig.AccessLog, hostConfig.AccessFormat = os.Stderr, settings.Log.AccessFormat
	}
	h, err := host.New(context.Background(), hostConfig)
	if err != nil {
		return settings.Locate(err)
	}
	alone := prefork.Alone{
		Options: &settings.MPM, Environment: os.Environ(),
		Serving: func(sockets []prefork.Socket) {
			logBuild(log)
			announce(log, prefork.Status{
				Generation: 1, Sockets: sockets, Notes: notesOf(h, settings.Host.Listeners), Warnings: warnings,
			})
		},
	}
	return errors.Join(alone.Serve(context.Background(), h), h.Close())
}
