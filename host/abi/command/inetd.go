package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/mpm"
)

// Timeouts bound each read and each write of a program on a connection. 0 means
// none. A program that waits for longer gets an error from WASI. After a write that
// failed, and not for want of time, the next one ends it, as SIGPIPE would.
type Timeouts struct {
	Read, Write time.Duration
}

// ServeConn runs the program on c and logs how it ended, unless well. id names
// the connection in logs.
func (p *Plugin) ServeConn(ctx context.Context, c mpm.Conn, t Timeouts, id fmt.Stringer) {
	watch, _ := c.(mpm.Watched)
	s := &session{
		Context: ctx, Guard: p.guard(watch, p.connLimits), plugin: p, log: p.set.Logger.With("connection", id.String()),
		environ: connEnvironment(c).with(p.set.Environ),
	}
	in, out := &connInput{conn: c, timeout: t.Read, guard: &s.Guard}, &connOutput{conn: c, timeout: t.Write, guard: &s.Guard}
	s.stdin, s.stdout = in, out
	c.SetState(mpm.StateWriting)
	code, err := s.run()
	switch {
	case guest.IsStopped(err):
		s.log.DebugContext(ctx, "client went away", "error", out.writeErr)
	case err != nil:
		guest.LogFailure(ctx, s.log, "guest failed", err)
		if !in.broken && !out.broken {
			s.Module().NoteCrash(err)
		}
	case code != 0:
		s.log.WarnContext(ctx, "program ended with an error", "exit_code", code)
	}
}

// connEnvironment says who is connected, as UCSPI-TCP does.
func connEnvironment(c mpm.Conn) environment {
	var env environment
	remote, ok := c.RemoteAddr().(*net.TCPAddr)
	local, localOK := c.LocalAddr().(*net.TCPAddr)
	if !ok || !localOK {
		env.set("PROTO", "UNIX")
		return env
	}
	env.set("PROTO", "TCP")
	env.set("TCPREMOTEIP", remote.IP.String())
	env.set("TCPREMOTEPORT", fmt.Sprint(remote.Port))
	env.set("TCPLOCALIP", local.IP.String())
	env.set("TCPLOCALPORT", fmt.Sprint(local.Port))
	return env
}

// connInput is a connection as standard input.
type connInput struct {
	conn    mpm.Conn
	timeout time.Duration
	ended   bool // no read waits any more
	guard   *guest.Guard
	broken  bool // the client has gone or waits: a read has failed
}

func (s *connInput) Read(p []byte) (int, error) {
	if s.timeout > 0 {
		if err := s.conn.SetReadDeadline(time.Now().Add(s.timeout)); err != nil {
			s.ended, s.broken = true, true
			return 0, fmt.Errorf("read from connection: %w", err)
		}
	}
	s.conn.SetState(mpm.StateReading)
	s.guard.Rest()
	n, err := s.conn.Read(p)
	s.guard.Work(n > 0)
	s.conn.SetState(mpm.StateWriting)
	s.ended = final(err)
	s.broken = s.broken || err != nil && err != io.EOF
	return n, err
}

// Ended implements guest.Ending.
func (s *connInput) Ended() bool { return s.ended }

// connOutput is a connection as standard output.
type connOutput struct {
	conn     mpm.Conn
	timeout  time.Duration
	ended    bool // no write waits any more
	guard    *guest.Guard
	bounded  bool  // writes have a deadline
	broken   bool  // a write has failed
	writeErr error // of the last write
}

func (s *connOutput) Write(p []byte) (int, error) {
	if s.ended {
		guest.Stop(s.writeErr)
	}
	n, err := s.write(p)
	s.writeErr = err
	return n, err
}

func (s *connOutput) write(p []byte) (int, error) {
	var until time.Time
	if s.timeout > 0 {
		until = time.Now().Add(s.timeout)
	}
	until = s.guard.Sooner(until)
	if s.bounded || !until.IsZero() {
		s.bounded = !until.IsZero()
		if err := s.conn.SetWriteDeadline(until); err != nil {
			s.ended, s.broken = true, true
			return 0, fmt.Errorf("write to connection: %w", err)
		}
	}
	n, err := s.conn.Write(p)
	s.ended = final(err)
	s.broken = s.broken || err != nil
	return n, err
}

// Ended implements guest.Ending.
func (s *connOutput) Ended() bool { return s.ended }

// Close tells the peer that nothing more will come. The program may read on.
func (s *connOutput) Close() error { return s.conn.CloseWrite() }

// final reports whether err is the last thing that a direction of a connection
// tells. After a timeout, the next call waits again.
func final(err error) bool { return err != nil && !errors.Is(err, os.ErrDeadlineExceeded) }
