package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/apphost/apphost/cmd/apphost/internal/sdnotify"
	"github.com/apphost/apphost/mpm/prefork"
)

// serviceManager tells systemd, if it started the server and asked to be told,
// how the server is doing. A message that does not get there stops nothing.
type serviceManager struct {
	notifier *sdnotify.Notifier
	log      *slog.Logger
}

func (m serviceManager) serving(s prefork.Status) {
	m.say(m.notifier.Ready(fmt.Sprintf("generation %d serves", s.Generation)))
}

func (m serviceManager) reloading() {
	m.say(m.notifier.Reloading(prefork.Monotonic()))
}

// failed ends what reloading began: the server is as ready as before.
func (m serviceManager) failed(r prefork.Result) {
	reason := ""
	if len(r.Errors) > 0 {
		reason = ": " + r.Errors[0]
	}
	m.say(m.notifier.Ready(fmt.Sprintf("the reload failed, generation %d serves on%s", r.Generation, reason)))
}

func (m serviceManager) stopping(within time.Duration) {
	m.say(m.notifier.Stopping(within))
}

func (m serviceManager) say(err error) {
	if err != nil {
		m.log.Warn("the service manager cannot be told", "err", err)
	}
}
