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
	kinds  []signalKind

	ignoresHangups bool
}

// notify starts to listen. hangup decides what SIGHUP asks for; nil means
// Restart. On a terminal SIGWINCH means nothing. What came since the process
// was taken over, if it was, comes first.
func notify(hangup func() Request, onTerminal bool, t *Takeover) *signalEvents {
	s := &signalEvents{events: make(chan event), done: make(chan struct{}), ignoresHangups: signal.Ignored(syscall.SIGHUP)}
	if t != nil {
		s.ignoresHangups = t.state.IgnoresHangups
		defer t.deliver()
	}
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
	if s.ignoresHangups {
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

// signalKind is one signal that is listened to.
type signalKind struct {
	sig     os.Signal
	pending chan os.Signal
	flush   chan struct{}
}

// on sends an event for each signal, or ignores the signal if there is none.
func (s *signalEvents) on(ev func() event, sig os.Signal) {
	k := signalKind{sig, make(chan os.Signal, 1), make(chan struct{})}
	signal.Notify(k.pending, sig)
	s.kinds = append(s.kinds, k)
	go func() {
		for {
			select {
			case <-k.pending:
			case <-k.flush:
				select {
				case <-k.pending:
				default:
					continue
				}
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

// hold stops listening before another program is executed, and hands what has
// come so far to handle. From then on TERM, INT and QUIT end the process, as
// they do in the next program until that listens, and the others do nothing.
// (The Go runtime lets no program block HUP, but respects that it is ignored.)
func (s *signalEvents) hold(handle func(event)) {
	for _, k := range s.kinds {
		if k.sig != syscall.SIGPIPE && k.sig != syscall.SIGXFSZ { // which end the process where it only writes a log
			signal.Stop(k.pending)
		}
	}
	signal.Ignore(syscall.SIGHUP)
	for range 2 { // what was pending in the first round is sent in the second
		for _, k := range s.kinds {
			for flushed := false; !flushed; {
				select {
				case ev := <-s.events:
					handle(ev)
				case k.flush <- struct{}{}:
					flushed = true
				}
			}
		}
	}
}

// listen undoes hold.
func (s *signalEvents) listen() {
	for _, k := range s.kinds {
		signal.Notify(k.pending, k.sig)
	}
}

func (s *signalEvents) stop() {
	for _, k := range s.kinds {
		signal.Stop(k.pending)
	}
	close(s.done)
}
