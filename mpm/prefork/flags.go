package prefork

import (
	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// The flags of a generation: one for each code, up while that is quarantined, and
// one behind them that is up when connections are to end.

func newFlags(o *mpm.Options) (*scoreboard.Flags, error) {
	return scoreboard.NewFlags(len(o.Codes) + 1)
}

// hurryUp makes connections end: those that idle by the pipe, and the others by the
// flag, which costs them no system call to look at.
func (g *linuxGeneration) hurryUp() {
	g.flags.Set(len(g.options.Codes), true)
	g.hurry.closeWriter()
}

// told reports whether this connection is to be one of the last, as the flag has
// it. A master that died raises none; the next wait of the connection finds that.
func (c *Child) told() bool { return c.orphan || c.flags.Load().Up(len(c.Options.Codes)) }

func (g *linuxGeneration) quarantine(code int, out bool) { g.flags.Set(code, out) }

// ofMaster are the descriptors of what ends with a master, and that children of
// the generation get anew from the next one.
func (g *linuxGeneration) ofMaster() []sys.FD {
	fds := []sys.FD{g.flags.FD()}
	if g.options.Status {
		fds = append(fds, g.system.bulletin.wish, g.system.bulletin.board.FD())
	}
	return fds
}

var _ mpm.Quarantine = (*Child)(nil)

// Quarantined reports whether a code is out of service, as mpm.Quarantine has it.
func (c *Child) Quarantined(code int) bool { return c.flags.Load().Up(code) }

// Failed counts a run of a code that crashed, as mpm.Quarantine has it.
func (c *Child) Failed(code int) { c.board.Failed(code) }

// changeFlags takes over flags: at the start, and those of a master that took
// over. The old ones stay mapped, since somebody may be reading them.
func (c *Child) changeFlags(flags sys.FD) error {
	f, err := scoreboard.AttachFlags(flags, len(c.Options.Codes)+1)
	if err != nil {
		_ = flags.Close()
		return err
	}
	c.flags.Store(f)
	return nil
}
