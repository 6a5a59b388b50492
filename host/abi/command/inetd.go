package command

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/mpm"
)

// Timeouts bound each read and each write of a program on a connection. 0 means
// none. A program that waits for longer gets an error from WASI. After a write that
// failed, whatever the reason, the next one ends it, as SIGPIPE would.
type Timeouts struct {
	Read, Write time.Duration
}

// ServeConn runs the program on c and logs how it ended, unless well. id names
// the connection in logs.
func (p *Plugin) ServeConn(ctx context.Context, c mpm.Conn, t Timeouts, id fmt.Stringer) {
	stream := &connStream{conn: c, timeouts: t}
	watch, _ := c.(mpm.Watched)
	s := &session{
		Context: ctx, Guard: guest.NewGuard(watch, p.pool.Module().Name(), p.set.CPUTimeout), plugin: p, log: p.set.Logger.With("connection", id.String()),
		environ: connEnvironment(c).with(p.set.Environ), stdin: stream, stdout: stream,
	}
	c.SetState(mpm.StateWriting)
	code, err := s.run()
	switch {
	case guest.IsStopped(err):
		s.log.DebugContext(ctx, "client went away", "error", stream.writeErr)
	case err != nil:
		guest.LogFailure(ctx, s.log, "guest failed", err)
		if !stream.broken {
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

// connStream is a connection as standard input and output.
type connStream struct {
	conn     mpm.Conn
	timeouts Timeouts
	writeErr error // of the first write that failed
	broken   bool  // the client has gone or waits: a read or write has failed
}

func (s *connStream) Read(p []byte) (int, error) {
	if s.timeouts.Read > 0 {
		if err := s.conn.SetReadDeadline(time.Now().Add(s.timeouts.Read)); err != nil {
			return 0, fmt.Errorf("read from connection: %w", err)
		}
	}
	s.conn.SetState(mpm.StateReading)
	n, err := s.conn.Read(p)
	s.conn.SetState(mpm.StateWriting)
	s.broken = s.broken || err != nil && err != io.EOF
	return n, err
}

func (s *connStream) Write(p []byte) (int, error) {
	if s.writeErr != nil {
		guest.Stop(s.writeErr)
	}
	var n int
	n, s.writeErr = s.write(p)
	return n, s.writeErr
}

func (s *connStream) write(p []byte) (int, error) {
	if s.timeouts.Write > 0 {
		if err := s.conn.SetWriteDeadline(time.Now().Add(s.timeouts.Write)); err != nil {
			return 0, fmt.Errorf("write to connection: %w", err)
		}
	}
	n, err := s.conn.Write(p)
	s.broken = s.broken || err != nil
	return n, err
}

// Close tells the peer that nothing more will come. The program may read on.
func (s *connStream) Close() error { return s.conn.CloseWrite() }
