package prefork

import (
	"os"
	"syscall"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/image"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// linuxProcess is a process known by its pidfd.
type linuxProcess struct {
	sys.Process
	report *os.File // our end of its report pipe
}

func (p linuxProcess) pid() int                        { return p.PID }
func (p linuxProcess) signal(sig syscall.Signal) error { return p.Signal(sig) }

func (p linuxProcess) release() {
	_ = p.Close()
	// Should anyone else hold the other end, nobody listens any longer.
	_ = p.report.Close()
}

// linuxCandidate is a candidate and the memfd it fills.
type linuxCandidate struct {
	linuxProcess
	image sys.FD
}

func (c *linuxCandidate) result() (*image.Image, *mpm.Options, error) {
	fd := c.image
	c.image = sys.None
	return openImage(fd)
}

func (c *linuxCandidate) release() {
	_ = c.image.Close()
	c.linuxProcess.release()
}
