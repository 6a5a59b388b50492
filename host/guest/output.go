package guest

import (
	"bytes"
	"io"
	"time"

	"github.com/apphost/apphost/sdk/abi"
)

// output turns what a guest writes to stdout and stderr into lines for the
// session that runs it. A line over abi.LogBytesMax is handed on in parts, so
// that a guest that writes no line end costs no more than that.
type output struct {
	session Session
	world   *world // nil: the real one
	streams []*stream
}

// The names of the streams, as Session.GuestLine gets them.
const (
	stdoutName = "stdout"
	stderrName = "stderr"
)

type stream struct {
	out     *output
	name    string
	partial []byte // a line whose end was not written yet
}

func (o *output) stream(name string) io.Writer {
	s := &stream{out: o, name: name}
	o.streams = append(o.streams, s)
	return s
}

// stdin is what the guest's session has.
type stdin struct{ out *output }

func (s stdin) Read(p []byte) (int, error) {
	if streams, ok := s.out.session.(Streams); ok {
		in := streams.Stdin()
		if len(p) == 0 || !waits(in) {
			return in.Read(p)
		}
		guard := guardOf(s.out.session)
		guard.Pause()
		n, err := in.Read(p)
		guard.EndOvertime()
		guard.Resume()
		return n, err
	}
	return 0, io.EOF
}

// waits reports whether a call of one of a session's streams may have to wait.
func waits(stream any) bool {
	s, ok := stream.(Ending)
	return !ok || !s.Ended()
}

// napMin is the shortest sleep that is a wait: shorter ones are over when the processor
// has just been given to somebody else, and whoever has nothing but those is busy.
const napMin = 100 * time.Microsecond

// sleep lets the guest wait, for as long as its turn lasts.
func (o *output) sleep(ns int64) {
	guard, wait := guardOf(o.session), time.Duration(ns)
	waits := wait >= napMin
	if waits {
		guard.Pause()
	}
	if until := guard.Until(); !until.IsZero() {
		wait = min(wait, time.Until(until))
	}
	timer := time.NewTimer(wait)
	<-timer.C
	if o.world != nil {
		o.world.slept(time.Duration(ns))
	}
	guard.EndOvertime()
	if waits {
		guard.Resume()
	}
}

// Write takes all of p.
func (s *stream) Write(p []byte) (int, error) {
	if streams, ok := s.out.session.(Streams); ok && s.name == stdoutName {
		to := streams.Stdout()
		if len(p) == 0 || !waits(to) {
			return to.Write(p)
		}
		guard := guardOf(s.out.session)
		guard.Pause()
		n, err := to.Write(p)
		guard.EndOvertime()
		guard.Resume()
		return n, err
	}
	n := len(p)
	for len(p) > 0 {
		part := p[:min(len(p), abi.LogBytesMax-len(s.partial))]
		end := bytes.IndexByte(part, '\n')
		if end >= 0 {
			part = part[:end]
		}
		s.partial = append(s.partial, part...)
		p = p[len(part):]
		if end >= 0 {
			p = p[1:]
		}
		if end >= 0 || len(s.partial) == abi.LogBytesMax {
			s.emit()
		}
	}
	return n, nil
}

// emit hands on what there is of a line. Empty lines are left out.
func (s *stream) emit() {
	if len(s.partial) > 0 {
		s.out.session.GuestLine(s.name, s.partial)
	}
	s.partial = s.partial[:0]
}

// flush hands on lines without an end. A run's last words may be such.
func (o *output) flush() {
	for _, s := range o.streams {
		s.emit()
	}
}
