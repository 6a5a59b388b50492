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
	text := servesText(s.Generation)
	if s.RollBack != nil {
		text = fmt.Sprintf("%s, as generation %d did: %s", text, s.RollBack.To, s.RollBack)
	}
	m.say(m.notifier.Ready(text))
}

func servesText(generation uint64) string { return fmt.Sprintf("generation %d serves", generation) }

// spawning says that children keep dying, or live again.
func (m serviceManager) spawning(generation uint64, s prefork.SpawnStatus) {
	text := servesText(generation)
	if s.Slowed {
		text += "; its children die young or cannot be started, and new ones are started more and more slowly"
	}
	m.say(m.notifier.Status(text))
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
