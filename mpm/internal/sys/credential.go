package sys

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
)

func credential(id *mpm.Identity) *syscall.Credential {
	c := &syscall.Credential{Uid: uint32(id.UID), Gid: uint32(id.GID)}
	for _, g := range id.Groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c
}

// giveNoPrivileges keeps what is started from this thread from more than its
// user may do; restore undoes what can be undone and has to be.
//
// What root starts never gains privileges by executing something, such as a
// set-user-ID program: see PR_SET_NO_NEW_PRIVS in prctl(2), which costs root
// nothing. Where another user has capabilities that programs inherit, such as
// those of AmbientCapabilities= in a unit of systemd, they are for the master
// alone: see PR_CAP_AMBIENT there.
func giveNoPrivileges() (restore func(), err error) {
	if unix.Geteuid() == 0 {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return nil, fmt.Errorf("give no new privileges: %w", err)
		}
		return func() {}, nil
	}
	var had []uintptr
	for capability := uintptr(0); capability <= unix.CAP_LAST_CAP; capability++ {
		if on, err := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, capability, 0, 0); err == nil && on == 1 {
			had = append(had, capability)
		}
	}
	if had == nil {
		return func() {}, nil
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("give no capabilities: %w", err)
	}
	return func() {
		for _, capability := range had {
			_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, capability, 0, 0) // as it was a moment ago
		}
	}, nil
}

// explainStart says what an operator can do about a process that did not
// start.
func explainStart(err error, id *mpm.Identity) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return explainSelf(err)
	case id == nil:
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("start process: user %q may not execute the server's program; make it executable for others (chmod o+x): %w", id.User, err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("start process as user %q: %w", id.User, explainDrop(err))
	}
	return fmt.Errorf("start process: %w", err)
}

// CheckSelf reports, with what to do, that processes cannot be started here.
func CheckSelf() error {
	var st unix.Stat_t
	if err := unix.Stat(Self, &st); err != nil {
		return explainSelf(err)
	}
	return nil
}

func explainSelf(err error) error {
	return fmt.Errorf("find %s, from which children are started: %w; is /proc mounted? (mount -t proc proc /proc)", Self, err)
}

// Confine gives up, for good, what this process has of root, and sets what p
// asks for besides. Where p has an Identity, the process is either root or has
// that identity already. It is called before other people's code runs.
//
// A signal that Command.DieWithParent has asked for is asked for again on the
// calling thread where the change of credentials takes it back.
//
// # Errors
//
// The process must end: it may have more privileges than it should, or a limit
// cannot be had.
func Confine(p *mpm.Privileges) error {
	if id := p.Identity; id != nil {
		if unix.Geteuid() == 0 {
			if err := drop(id, p.Chroot); err != nil {
				return err
			}
		}
		if err := verifyDropped(id); err != nil {
			return err
		}
		if err := setDumpable(p.CoreDumpDirectory != ""); err != nil {
			return err
		}
	}
	if p.CoreDumpDirectory != "" {
		if err := unix.Chdir(p.CoreDumpDirectory); err != nil {
			return fmt.Errorf("go to mpm.core_dump_directory %s: %w", p.CoreDumpDirectory, err)
		}
	}
	return setLimits(&p.Limits)
}

// drop changes root and credentials of all threads.
func drop(id *mpm.Identity, chroot string) error {
	parent := unix.Getppid()
	if chroot != "" {
		if err := unix.Chroot(chroot); err != nil {
			return fmt.Errorf("change root to mpm.chroot %s: %w", chroot, explainDrop(err))
		}
		if err := unix.Chdir("/"); err != nil {
			return fmt.Errorf("go to the root of mpm.chroot %s: %w", chroot, err)
		}
	}
	// Package syscall's are of all threads, package unix's are not.
	if err := syscall.Setgroups(id.Groups); err != nil {
		return fmt.Errorf("set the groups of user %q: %w", id.User, explainDrop(err))
	}
	if err := syscall.Setgid(id.GID); err != nil {
		return fmt.Errorf("set group %q (%d): %w", id.Group, id.GID, explainDrop(err))
	}
	if err := syscall.Setuid(id.UID); err != nil {
		return fmt.Errorf("set user %q (%d): %w", id.User, id.UID, explainDrop(err))
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("set parent-death signal: %w", err)
	}
	if unix.Getppid() != parent {
		return errors.New("the master ended meanwhile")
	}
	return nil
}

func explainDrop(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("root here lacks the capabilities to change user (CAP_SETUID, CAP_SETGID) or root folder (CAP_SYS_CHROOT); grant them, or start the server as that user: %w", err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("this user namespace has no such user or group: %w", err)
	}
	return err
}

// verifyDropped fails unless this process has the identity and no way back.
func verifyDropped(id *mpm.Identity) error {
	r, e, s := unix.Getresuid()
	if r != id.UID || e != id.UID || s != id.UID {
		return fmt.Errorf("drop privileges: the process has users %d, %d, %d, want %d", r, e, s, id.UID)
	}
	r, e, s = unix.Getresgid()
	if r != id.GID || e != id.GID || s != id.GID {
		return fmt.Errorf("drop privileges: the process has groups %d, %d, %d, want %d", r, e, s, id.GID)
	}
	groups, err := unix.Getgroups()
	if err != nil {
		return fmt.Errorf("drop privileges: read groups: %w", err)
	}
	want := slices.Clone(id.Groups)
	slices.Sort(want)
	slices.Sort(groups)
	if !slices.Equal(groups, want) {
		return fmt.Errorf("drop privileges: the process has supplementary groups %d, want %d", groups, want)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData // the call writes both
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return fmt.Errorf("drop privileges: read capabilities: %w", err)
	}
	for _, c := range caps {
		if c.Effective|c.Permitted != 0 {
			return errors.New("drop privileges: the process has kept capabilities")
		}
	}
	// Of this thread only: whoever succeeds ends here.
	if _, _, errno := unix.RawSyscall(unix.SYS_SETUID, 0, 0, 0); errno == 0 {
		return errors.New("drop privileges: the process could become root again")
	}
	return nil
}

// setDumpable says whether the process leaves a core dump, and may be looked
// into by others of its user. See PR_SET_DUMPABLE in prctl(2).
func setDumpable(on bool) error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, uintptr(number(on)), 0, 0, 0); err != nil {
		return fmt.Errorf("set whether core is dumped: %w", err)
	}
	return nil
}

func setLimits(l *mpm.Limits) error {
	for _, limit := range []struct {
		key   string
		which int
		value uint64
	}{
		{"limit_nofile", unix.RLIMIT_NOFILE, uint64(l.OpenFiles)},
		{"limit_nproc", unix.RLIMIT_NPROC, uint64(l.Tasks)},
		{"limit_core", unix.RLIMIT_CORE, l.CoreBytes},
	} {
		if err := setLimit(limit.key, limit.which, limit.value); err != nil {
			return err
		}
	}
	return nil
}

func setLimit(key string, which int, value uint64) error {
	if value == 0 {
		return nil
	}
	// Package syscall's also keeps the runtime from restoring the old one.
	err := syscall.Setrlimit(which, &syscall.Rlimit{Cur: value, Max: value})
	var has syscall.Rlimit
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM) && syscall.Getrlimit(which, &has) == nil:
		return fmt.Errorf("mpm.%s: %d is more than the server's own hard limit, which is %d; raise that where the server is started", key, value, has.Max)
	}
	return fmt.Errorf("mpm.%s: %w", key, err)
}

// MemoryRoom is what a process needs of its LimitMemory to be of use: with less, the
// Go runtime may not get the next piece of its heap, which ends the process.
const MemoryRoom = 64 << 20

// LimitMemory bounds the memory that this process has to itself and may write to;
// 0 is without bound. It fails if the process has so much of it already that next
// to nothing is left. See RLIMIT_DATA in getrlimit(2).
func LimitMemory(bytes uint64) error {
	if bytes == 0 {
		return nil
	}
	if err := setLimit("limit_memory", unix.RLIMIT_DATA, bytes); err != nil {
		return err
	}
	if !HasMemoryRoom() {
		return fmt.Errorf("mpm.limit_memory: once the plugins are loaded, less than %d MiB of %d are left; raise it", MemoryRoom>>20, bytes>>20)
	}
	return nil
}

// HasMemoryRoom reports whether MemoryRoom is left. It costs two system calls.
func HasMemoryRoom() bool {
	room, err := unix.Mmap(-1, 0, MemoryRoom, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return false
	}
	if err := unix.Munmap(room); err != nil {
		panic("BUG: unmap memory: " + err.Error())
	}
	return true
}

// CoreDumps reports whether this process would leave a core dump in dir, as
// far as limits and permissions go, or why not.
func CoreDumps(dir string) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(unix.RLIMIT_CORE, &limit); err == nil && limit.Cur == 0 {
		return errors.New("the limit on the size of core dumps is 0; set mpm.limit_core")
	}
	if err := unix.Access(dir, unix.W_OK); err != nil {
		return fmt.Errorf("its processes may not write there: %w", err)
	}
	return nil
}
