package prefork

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
)

// selfie is what a process finds that it is and can do.
type selfie struct {
	UIDs, GIDs   [3]int // real, effective, saved
	Groups       []int
	Capabilities uint32
	NoNewPrivs   bool
	Dumpable     bool
	CanReadRoots bool // a file that is root's alone
	CanBeRoot    bool
	Root         []string // what is in /
	Zone         string
	OpenFiles    uint64
}

// rootsFile is where the file is that is root's alone.
const rootsFile = "PREFORK_TEST_ROOTS_FILE"

// portrait is a selfie on one line.
func portrait() string {
	var s selfie
	s.UIDs[0], s.UIDs[1], s.UIDs[2] = unix.Getresuid()
	s.GIDs[0], s.GIDs[1], s.GIDs[2] = unix.Getresgid()
	s.Groups, _ = unix.Getgroups()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	_ = unix.Capget(&header, &caps[0])
	s.Capabilities = caps[0].Effective | caps[0].Permitted | caps[0].Inheritable
	on, _ := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	s.NoNewPrivs = on == 1
	on, _ = unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	s.Dumpable = on == 1
	_, err := os.ReadFile(os.Getenv(rootsFile))
	s.CanReadRoots = err == nil
	s.CanBeRoot = unix.Setuid(0) == nil
	entries, _ := os.ReadDir("/")
	for _, e := range entries {
		s.Root = append(s.Root, e.Name())
	}
	s.Zone, _ = time.Now().Zone()
	var limit unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	s.OpenFiles = limit.Cur
	raw, err := json.Marshal(s)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(raw)
}

// diesWithParent reports whether the kernel ends this process with its parent.
func diesWithParent() bool {
	var sig int32
	err := unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&sig)), 0, 0, 0)
	return err == nil && sig == int32(unix.SIGKILL)
}

// onlyRoot skips a test where nobody could be started as somebody else, and
// makes the file that is root's alone.
func onlyRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can start processes as another user")
	}
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(rootsFile, path)
}

func nobody() *mpm.Identity {
	return &mpm.Identity{User: "nobody", Group: "nogroup", UID: 65534, GID: 65534, Groups: []int{4242, 65534}}
}

// want checks a portrait.
func (s *selfie) want(t *testing.T, who, line string) {
	t.Helper()
	if err := json.Unmarshal([]byte(line), s); err != nil {
		t.Fatalf("%s: %v", who, err)
	}
	id := nobody()
	if s.UIDs != [3]int{id.UID, id.UID, id.UID} || s.GIDs != [3]int{id.GID, id.GID, id.GID} || !slices.Equal(s.Groups, id.Groups) {
		t.Errorf("%s is user %v, group %v, in groups %v", who, s.UIDs, s.GIDs, s.Groups)
	}
	if s.Capabilities != 0 || !s.NoNewPrivs || s.CanReadRoots || s.CanBeRoot || s.Dumpable {
		t.Errorf("%s has kept something: %+v", who, s)
	}
}

func (s *server) portrait() string {
	s.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	line, err := io.ReadAll(conn)
	if err != nil {
		s.Fatal(err)
	}
	return string(line)
}

// A master of root's starts its children as somebody who can do nothing; one
// that replaces another, and those of a reload, too.
func TestChildrenHaveNothingOfRoot(t *testing.T) {
	onlyRoot(t)
	t.Setenv("TZ", "Asia/Tokyo")
	jail := t.TempDir()
	if err := os.Chmod(jail, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(jail, "in jail"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, chroot := range map[string]string{"own root": "", "changed root": jail} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, func(c *testConfig) {
				c.Greeting = "selfie"
				c.Options.Privileges = mpm.Privileges{Identity: nobody(), Chroot: chroot, Limits: mpm.Limits{OpenFiles: 200}}
				c.Options.MaxConnectionsPerChild = 1
			})
			for range 8 { // more than there are children at first
				var child selfie
				child.want(t, "a child", s.portrait())
				if inJail := slices.Equal(child.Root, []string{"in jail"}); inJail != (chroot != "") {
					t.Errorf("a child sees %q in /", child.Root)
				}
				if _, err := time.LoadLocation("Asia/Tokyo"); err == nil && child.Zone != "JST" {
					t.Errorf("a child has the time zone %q", child.Zone)
				}
				if child.OpenFiles != 200 {
					t.Errorf("a child may open %d files, want 200", child.OpenFiles)
				}
			}
			r := s.ask(Reload)
			if len(r.Errors) > 0 || len(r.Warnings) != 1 {
				t.Fatalf("reload: %+v", r)
			}
			new(selfie).want(t, "the candidate", r.Warnings[0])
			new(selfie).want(t, "a child of the next generation", s.portrait())
		})
	}
}

// What cannot be had is an error with its reason, at the start and for a reload,
// whoever finds it.
func TestAStartFailsWherePrivilegesCannotBeDropped(t *testing.T) {
	onlyRoot(t)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	missing := mpm.Privileges{Identity: nobody(), Chroot: "/no/such/folder"}
	for _, tc := range []struct {
		name, greeting string
		p              mpm.Privileges
		want           string
	}{
		{"in the candidate", "one", missing, "change root to mpm.chroot /no/such/folder: no such file"},
		{"in the children", "unconfined", missing, "a child of the new generation cannot serve: change root to mpm.chroot /no/such/folder"},
		{"core dumps", "unconfined", mpm.Privileges{CoreDumpDirectory: "/no/such/folder"}, "go to mpm.core_dump_directory /no/such/folder"},
		{"limit", "unconfined", mpm.Privileges{Identity: nobody(), Limits: mpm.Limits{OpenFiles: int(min(limit.Max, 1<<30)) + 1}}, "mpm.limit_nofile: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.name == "limit" && limit.Max >= 1<<30 {
				t.Skip("there is no hard limit")
			}
			s := &server{T: t, path: filepath.Join(t.TempDir(), "config.json"), cfg: plainConfig()}
			s.cfg.Greeting, s.cfg.Options.Privileges = tc.greeting, tc.p
			s.write()
			log := slog.New(slog.NewTextHandler(t.Output(), nil))
			err := NewMaster(Config{ConfigPath: s.path, Environment: os.Environ(), Logger: log}).Run()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

// A reload cannot make children somebody else.
func TestAReloadCannotChangeTheUser(t *testing.T) {
	onlyRoot(t)
	s := startServer(t, func(c *testConfig) { c.Options.Privileges.Identity = nobody() })
	s.cfg.Options.Privileges.Identity = nil
	s.write()
	if r := s.ask(Reload); len(r.Errors) != 1 || !strings.Contains(r.Errors[0], `mpm.user: it cannot change`) {
		t.Errorf("reload: %+v", r)
	}
	if _, _, _, err := s.dial(); err != nil {
		t.Error(err)
	}
}
