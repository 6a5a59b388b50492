package mpm

import (
	"fmt"
	"math"
	"strings"
)

// Privileges are what the processes that may run guest code, children and
// candidates, have of what the master has.
type Privileges struct {
	// Identity is who they run as; nil is as the master. Only a master that
	// root has started can give one. It is fixed for the master's life.
	Identity *Identity `json:",omitempty"`
	// Chroot is the absolute path of the folder that is / for them; empty is
	// the master's. It goes with an Identity only: root can get out again. It
	// is fixed for the master's life.
	Chroot string `json:",omitempty"`
	// CoreDumpDirectory is the folder they run in, where the kernel leaves
	// their memory when they crash, as an absolute path inside of Chroot. Empty
	// leaves them in the master's, and lets those with an Identity leave none.
	CoreDumpDirectory string `json:",omitempty"`
	// Limits are of each of them.
	Limits Limits `json:",omitzero"`
}

// Identity is a user with the groups that a login would give.
type Identity struct {
	// User and Group are as the operator names them.
	User, Group string
	// UID and GID are their numbers, Groups the numbers of the supplementary
	// groups.
	UID, GID int
	Groups   []int `json:",omitempty"`
}

// Limits are resource limits, soft and hard; see setrlimit(2). 0 leaves one as
// the master has it.
type Limits struct {
	OpenFiles int    `json:",omitempty"` // RLIMIT_NOFILE
	Tasks     int    `json:",omitempty"` // RLIMIT_NPROC; of all processes of the user together
	CoreBytes uint64 `json:",omitempty"` // RLIMIT_CORE
	// MemoryBytes is RLIMIT_DATA, and of children only: all the memory that a child
	// has to itself and may write to, whether or not it has done so. It holds from
	// when the child is ready.
	MemoryBytes uint64 `json:",omitempty"`
}

const (
	// idMax is the largest number of a user or group: the next one means "as
	// it is" to the kernel.
	idMax = math.MaxUint32 - 1
	// groupsMax is the kernel's NGROUPS_MAX.
	groupsMax = 65_536
	// openFilesMin is about what a child needs before its first connection.
	openFilesMin = 128
	// tasksMin is about what one child needs.
	tasksMin = 32
	// memoryMin is what a child with small plugins needs, twice.
	memoryMin = 256 << 20
	// limitMax is beyond what any kernel grants.
	limitMax = math.MaxInt32
)

// validate reports each fault by its key.
func (p *Privileges) validate(fault func(key, format string, args ...any)) {
	if id := p.Identity; id != nil {
		switch {
		case id.UID == 0:
			fault("user", "must not be root (user 0): what plugins run as must not own the machine; name another user")
		case id.UID < 0 || id.UID > idMax:
			fault("user", "must be a user from 1 to %d, got %d", idMax, id.UID)
		}
		if id.GID < 0 || id.GID > idMax {
			fault("group", "must be a group from 0 to %d, got %d", idMax, id.GID)
		}
		if len(id.Groups) > groupsMax {
			fault("user", "is in %d groups, and the system has room for %d", len(id.Groups), groupsMax)
		}
		for _, g := range id.Groups {
			if g < 0 || g > idMax {
				fault("user", "is in group %d, which is none", g)
			}
		}
	}
	if p.Chroot != "" && p.Identity == nil {
		fault("chroot", "goes with user only: root can leave it again")
	}
	p.validatePaths(fault)
	bound := func(key string, got, least int) {
		if got != 0 && (got < least || got > limitMax) {
			fault(key, "must be 0, which leaves it as it is, or from %d to %d, got %d", least, limitMax, got)
		}
	}
	bound("limit_nofile", p.Limits.OpenFiles, openFilesMin)
	bound("limit_nproc", p.Limits.Tasks, tasksMin)
	if got := p.Limits.MemoryBytes; got != 0 && got < memoryMin {
		fault("limit_memory", "must be 0, which leaves it as it is, or 256MiB and more, got %d bytes", got)
	}
}

func (p *Privileges) validatePaths(fault func(key, format string, args ...any)) {
	for _, path := range []struct{ key, value string }{
		{"chroot", p.Chroot}, {"core_dump_directory", p.CoreDumpDirectory},
	} {
		if path.value != "" && (!strings.HasPrefix(path.value, "/") || strings.ContainsRune(path.value, 0)) {
			fault(path.key, "must be an absolute path, got %q", path.value)
		}
	}
}

// Change is an error that names what differs between the privileges of two
// generations and cannot change while the server runs, or nil.
func (p *Privileges) Change(next *Privileges) error {
	refuse := func(key, from, to string) error {
		return fmt.Errorf("mpm.%s: it cannot change while the server runs (from %s to %s); stop and start the server", key, from, to)
	}
	was, now := p.Identity, next.Identity
	switch {
	case (was == nil) != (now == nil) || (was != nil && was.UID != now.UID):
		return refuse("user", was.user(), now.user())
	case was != nil && was.GID != now.GID:
		return refuse("group", fmt.Sprintf("%q (%d)", was.Group, was.GID), fmt.Sprintf("%q (%d)", now.Group, now.GID))
	case p.Chroot != next.Chroot:
		return refuse("chroot", fmt.Sprintf("%q", p.Chroot), fmt.Sprintf("%q", next.Chroot))
	}
	return nil
}

// user names the user for people.
func (id *Identity) user() string {
	if id == nil {
		return "none"
	}
	return fmt.Sprintf("%q (%d)", id.User, id.UID)
}
