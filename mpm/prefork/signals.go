package prefork

import (
	"os"
	"os/signal"
	"syscall"
)

// signalEvents turns the master's signals into events. Each kind has a channel
// of one: a signal that is pending already says all that another one would,
// and none can push out one of another kind.
type signalEvents struct {
	events chan event
	done   chan struct{}
	stops  []func()
}

// notify starts to listen. hangup decides what SIGHUP asks for; nil means
// Restart. On a terminal SIGWINCH means nothing.
func notify(hangup func() Request, onTerminal bool) *signalEvents {
	s := &signalEvents{events: make(chan event), done: make(chan struct{})}
	ask := func(what Request) func() event {
		return func() event { return requested{what: what} }
	}
	s.on(func() event { return childrenEnded{} }, syscall.SIGCHLD)
	s.on(ask(Stop), syscall.SIGTERM)
	s.on(ask(Stop), syscall.SIGINT)
	s.on(ask(GracefulStop), syscall.SIGQUIT)
	if onTerminal {
		s.on(nil, syscall.SIGWINCH)
	} else {
		s.on(ask(GracefulStop), syscall.SIGWINCH)
	}
	s.on(ask(Reload), syscall.SIGUSR1)
	s.on(ask(ReopenLogs), syscall.SIGUSR2)
	if signal.Ignored(syscall.SIGHUP) {
		return s.ignoring() // as nohup(1) has asked
	}
	s.on(func() event {
		if hangup == nil {
			return requested{what: Restart}
		}
		return requested{what: hangup()}
	}, syscall.SIGHUP)
	return s.ignoring()
}

// ignoring adds what must not end us: SIGPIPE, from a write to a standard error
// that nobody reads, and SIGXFSZ, from one to a log that has become too large.
func (s *signalEvents) ignoring() *signalEvents {
	s.on(nil, syscall.SIGPIPE)
	s.on(nil, syscall.SIGXFSZ)
	return s
}

// on sends an event for each signal, or ignores the signal if there is none.
func (s *signalEvents) on(ev func() event, sig os.Signal) {
	pending := make(chan os.Signal, 1)
	signal.Notify(pending, sig)
	s.stops = append(s.stops, func() { signal.Stop(pending) })
	go func() {
		for {
			select {
			case <-pending:
			case <-s.done:
				return
			}
			if ev == nil {
				continue
			}
			select {
			case s.events <- ev():
			case <-s.done:
				return
			}
		}
	}()
}

func (s *signalEvents) stop() {
	for _, stop := range s.stops {
		stop()
	}
	close(s.done)
}
