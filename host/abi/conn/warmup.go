package conn

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/sdk/abi"
)

// warm lets a prepared guest serve as many connections as its settings say, on
// which nobody speaks, so that what it makes on first use is in its image.
func (p *Plugin) warm(s *session, i *guest.Instance) error {
	if p.warmUp == 0 {
		return nil
	}
	if s.step != nil {
		s.step(fmt.Sprintf("warm_up, %d calls of %s", p.warmUp, abi.ProcessConnection))
	}
	for n := range p.warmUp {
		w := &session{
			Context: s.Context, Guard: s.Guard, plugin: p, conn: &silent{id: uint64(n + 1)}, id: warmID{},
			read: limit{ended: true}, write: limit{ended: true},
		}
		code, err := run(w, i, abi.ProcessConnection)
		w.end()
		if f, ok := errors.AsType[*guest.Failure](err); ok && f.Kind == guest.Exited {
			return fmt.Errorf("warm_up: %w; a guest that has ended itself can serve nobody, so it cannot be warmed up", err)
		}
		if err != nil {
			return fmt.Errorf("warm_up: %w", err)
		}
		if code != 0 && p.trial {
			p.log.WarnContext(s.Context, fmt.Sprintf("warm_up: %s returned %d to a connection without any data", abi.ProcessConnection, code))
			return nil // once is enough to hear of it
		}
	}
	return nil
}

// warmID names the connections of a warm-up.
type warmID struct{}

func (warmID) String() string { return "warm-up" }

// silent is a connection whose peer has sent nothing and closed its side. What is
// written to it is taken and dropped.
type silent struct{ id uint64 }

var _ mpm.Conn = (*silent)(nil)

// nobody is the address of both ends.
var nobody = net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0"))

func (*silent) Read([]byte) (int, error)         { return 0, io.EOF }
func (*silent) Write(p []byte) (int, error)      { return len(p), nil }
func (*silent) Close() error                     { return nil }
func (*silent) CloseWrite() error                { return nil }
func (*silent) LocalAddr() net.Addr              { return nobody }
func (*silent) RemoteAddr() net.Addr             { return nobody }
func (*silent) SetDeadline(time.Time) error      { return nil }
func (*silent) SetReadDeadline(time.Time) error  { return nil }
func (*silent) SetWriteDeadline(time.Time) error { return nil }
func (c *silent) ID() uint64                     { return c.id }
func (*silent) Listener() string                 { return "" }
func (*silent) SetState(mpm.State)               {}
func (*silent) Stopping() bool                   { return false }
