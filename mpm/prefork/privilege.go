package prefork

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// privilegesEnv carries mpm.Privileges as JSON from master to child, who needs
// them before it reads anything that another process wrote.
const privilegesEnv = "APPHOST_PRIVILEGES"

// confinedEnv is a child's environment with the privileges it is to have.
func confinedEnv(env []string, p *mpm.Privileges) []string {
	raw, err := json.Marshal(p)
	if err != nil {
		panic("BUG: privileges cannot be encoded: " + err.Error())
	}
	return append(slices.Clone(env), privilegesEnv+"="+string(raw))
}

// bornAs is who a child is started as. One that has to change its root, which
// needs root and /proc to start from, gives up the rest by itself.
func bornAs(p *mpm.Privileges) *mpm.Identity {
	if p.Chroot != "" {
		return nil
	}
	return p.Identity
}

// confineChild gives this child the privileges that the master means for it.
func confineChild(getenv func(string) string) error {
	p := new(mpm.Privileges)
	if err := json.Unmarshal([]byte(getenv(privilegesEnv)), p); err != nil {
		return fmt.Errorf("read privileges: %w", err)
	}
	return confine(p)
}

// Confine gives up, for good, what this candidate has of root beyond p, and
// sets its limits. It must come after Seal, and before other people's code.
func (c *Candidate) Confine(p *mpm.Privileges) error {
	if err := confine(p); err != nil {
		return err
	}
	if dir := p.CoreDumpDirectory; dir != "" {
		if err := sys.CoreDumps(dir); err != nil {
			c.Warn(fmt.Sprintf("mpm.core_dump_directory: a crash will leave no core dump: %s", err))
		}
	}
	return nil
}

func confine(p *mpm.Privileges) error {
	_, _ = time.Now().Zone() // loads the time zone, whose file is not in a changed root
	if p.CoreDumpDirectory != "" {
		// Or the runtime exits, and leaves the kernel nothing to dump. Before it
		// lets the kernel do so it sends its other threads SIGQUIT, and waits
		// long for each to notice.
		debug.SetTraceback("crash")
		signal.Notify(make(chan os.Signal, 1), syscall.SIGQUIT) // for Reset does not undo Ignore
		signal.Reset(syscall.SIGQUIT)
	}
	return sys.Confine(p)
}
