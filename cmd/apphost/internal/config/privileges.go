package config

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/apphost/apphost/mpm"
)

// system is what the file's words are looked up in, so that tests need none.
type system struct {
	// root says that root reads the file: it can become another user.
	root bool
	// self is the number of the user who reads it.
	self    int
	account func(name string) (*account, error)
	group   func(name string) (gid int, err error)
	// isFolder fails unless path is a folder.
	isFolder func(path string) error
}

// account is a user of the system.
type account struct {
	uid, gid int
	groups   []int // supplementary
	noEntry  bool  // the system knows only the number
}

// errNone means that there is no such user or group.
var errNone = errors.New("the system has none of that name")

// privileges reads those keys of [mpm] that say what children may do.
func (d *decoder) privileges(t *table) {
	p := &d.config.MPM.Privileges
	p.Identity = d.identity(t)
	p.Chroot = d.folder(t, "chroot")
	p.CoreDumpDirectory = d.folder(t, "core_dump_directory")
	t.integer("limit_nofile", &p.Limits.OpenFiles)
	t.integer("limit_nproc", &p.Limits.Tasks)
	t.sizeOrNone("limit_core", &p.Limits.CoreBytes, coreMin)
	t.sizeOrNone("limit_memory", &p.Limits.MemoryBytes, memoryMin)
	if d.src.system.root {
		if p.CoreDumpDirectory != "" {
			p.CoreDumpDirectory = d.inside(t, "core_dump_directory", p.CoreDumpDirectory)
		}
		return
	}
	// As httpd does: so one file serves for a service and for a try-out.
	if id := p.Identity; id != nil && id.UID != d.src.system.self {
		t.warn("user", "has no effect: only root can become another user, and this is user %d", d.src.system.self)
	}
	if p.Chroot != "" {
		t.warn("chroot", "has no effect: only root can change its root folder, and this is user %d", d.src.system.self)
	}
	p.Identity, p.Chroot = nil, ""
}

// sizeOrNone reads a size from least on, or "0".
func (t *table) sizeOrNone(key string, dst *uint64, least uint64) {
	if t.values[key] == "0" {
		t.value(key, kindSize)
		return
	}
	t.size(key, dst, least, sizeMax)
}

// inside is a path that children use, as they see it.
func (d *decoder) inside(t *table, key, path string) string {
	chroot := d.config.MPM.Privileges.Chroot
	if chroot == "" {
		return path
	}
	inside, err := filepath.Rel(chroot, path)
	if err != nil || !filepath.IsLocal(inside) {
		t.fault(key, "must be in mpm.chroot (%s), because children see nothing else", chroot)
		return ""
	}
	return filepath.Join("/", inside)
}

// identity reads user and group.
func (d *decoder) identity(t *table) *mpm.Identity {
	var id mpm.Identity
	t.text("user", &id.User)
	t.text("group", &id.Group)
	if id.User == "" {
		if id.Group != "" && !t.refusedKey("user") {
			t.fault("group", "goes with user only; set that, too")
		}
		return nil
	}
	a, err := d.src.system.account(id.User)
	if err != nil {
		t.fault("user", "cannot be found, got %q: %s", id.User, err)
		return nil
	}
	id.UID, id.GID, id.Groups = a.uid, a.gid, a.groups
	switch {
	case t.refusedKey("group"):
		return nil
	case id.Group != "":
		if id.GID, err = d.src.system.group(id.Group); err != nil {
			t.fault("group", "cannot be found, got %q: %s", id.Group, err)
			return nil
		}
		// As initgroups(3): the group takes the place of the user's own.
		others := slices.DeleteFunc(a.groups, func(gid int) bool { return gid == a.gid || gid == id.GID })
		id.Groups = append([]int{id.GID}, others...)
	case a.noEntry:
		t.fault("group", "is missing: the system has no user %s, whose group this could be", id.User)
		return nil
	default:
		id.Group = strconv.Itoa(id.GID)
	}
	return &id
}

// folder reads the path of a folder, which must be there.
func (d *decoder) folder(t *table, key string) string {
	var path string
	if !t.text(key, &path) || path == "" {
		return ""
	}
	path = d.resolve(path)
	if err := d.src.system.isFolder(path); err != nil {
		t.fault(key, "%q is not a folder that can be used: %s", path, err)
		return ""
	}
	return path
}

// rootCache settles the cache folder of a server that changes user or root, as
// its children see it: root's own is nobody else's.
func (d *decoder) rootCache(t *table, given bool) {
	switch {
	case d.config.MPM.Privileges.Identity == nil:
	case given:
		d.config.Host.CacheDir = d.inside(t, "cache_dir", d.config.Host.CacheDir)
	default:
		d.config.Host.CacheDir = cacheDirFallback
	}
}

// socketGroup is the group of a Unix socket's file, by which mode lets those in
// who are in the children's group. The owner stays root: children must not
// change who may connect.
func (d *decoder) socketGroup(unix bool) int {
	if id := d.config.MPM.Privileges.Identity; id != nil && unix {
		return id.GID
	}
	return 0
}

// thisSystem is the one that the process runs on.
func thisSystem() system {
	return system{
		root: os.Geteuid() == 0, self: os.Geteuid(),
		account: lookUpAccount, group: lookUpGroup,
		isFolder: func(path string) error {
			info, err := os.Stat(path)
			switch {
			case err != nil:
				return errors.New(cause(err))
			case !info.IsDir():
				return errors.New("it is a file")
			}
			return nil
		},
	}
}

// lookUpAccount finds a user by name, or else by number.
func lookUpAccount(name string) (*account, error) {
	u, err := user.Lookup(name)
	number, isNumber := parseID(name)
	if err != nil && isNumber {
		if u, err = user.LookupId(strconv.Itoa(number)); errors.As(err, new(user.UnknownUserIdError)) {
			return &account{uid: number, noEntry: true}, nil
		}
	}
	if err != nil {
		return nil, unknown(err)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("its groups cannot be read: %w", err)
	}
	var a account
	for i, text := range append([]string{u.Uid, u.Gid}, ids...) {
		id, ok := parseID(text)
		switch {
		case !ok:
			return nil, fmt.Errorf("the system's number for it or one of its groups is %q", text)
		case i == 0:
			a.uid = id
		case i == 1:
			a.gid = id
		default:
			a.groups = append(a.groups, id)
		}
	}
	return &a, nil
}

// lookUpGroup finds a group by name, or else takes its number.
func lookUpGroup(name string) (int, error) {
	g, err := user.LookupGroup(name)
	if number, ok := parseID(name); err != nil && ok {
		return number, nil
	}
	if err != nil {
		return 0, unknown(err)
	}
	gid, ok := parseID(g.Gid)
	if !ok {
		return 0, fmt.Errorf("the system's number for it is %q", g.Gid)
	}
	return gid, nil
}

// parseID reads a number of a user or group. The largest one is nobody's: to
// the kernel it means to change nothing; see setresuid(2).
func parseID(text string) (int, bool) {
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "#"), 10, 32)
	return int(n), err == nil && n < math.MaxUint32
}

func unknown(err error) error {
	if errors.As(err, new(user.UnknownUserError)) || errors.As(err, new(user.UnknownGroupError)) {
		return errNone
	}
	return err
}
