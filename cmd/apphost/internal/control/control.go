// Package control is the way from a command such as "apphost reload" to the
// running master: a Unix socket that only the server's user can reach, named
// after the configuration file. There is one for each configuration file, so
// it also tells that a server with that file runs already.
//
// A request is one line of JSON, and so is its answer. The connection of a stop
// is closed by the end of the server's process and not before, so that its
// client sees that. The package carries requests; it decides nothing.
package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// connectTimeout bounds everything but the wait for the answer.
	connectTimeout = 5 * time.Second
	requestBytes   = 4 << 10
	// pathBytes bounds a socket's path; see unix(7).
	pathBytes = 107
)

// Verb is what a request asks for.
type Verb string

// The verbs.
const (
	Reload       Verb = "reload"
	Stop         Verb = "stop"
	GracefulStop Verb = "graceful-stop"
	Restart      Verb = "restart"
	ReopenLogs   Verb = "reopen-logs"
	Status       Verb = "status"
	Upgrade      Verb = "upgrade"
	Release      Verb = "release"
)

func (v Verb) known() bool {
	switch v {
	case Reload, Restart, Stop, GracefulStop, ReopenLogs, Status, Upgrade, Release:
		return true
	}
	return false
}

// endsServer reports whether the server's end follows.
func (v Verb) endsServer() bool { return v == Stop || v == GracefulStop }

// Request is what a command asks the server for.
type Request struct {
	Verb Verb `json:"verb"`
	// Binary is what to upgrade to, an absolute path; empty is where the
	// running one came from.
	Binary string `json:"binary,omitempty"`
	// Plugin is what to release.
	Plugin string `json:"plugin,omitempty"`

	// Resumed says that it was asked of the program before this one; see
	// Resume.
	Resumed bool `json:"-"`
}

// failure is the answer to a request that is none. Its field is that of
// prefork.Result.
type failure struct{ Errors []string }

// ErrRunning is returned by Listen when a server with the same configuration
// file runs already.
var ErrRunning = errors.New("a server with this configuration file runs already; use 'apphost reload' to reload it, 'apphost stop' to stop it")

// Path is where the socket of a configuration file is: in the user's runtime
// folder, under a name made from the file's absolute path.
func Path(configPath string) string {
	sum := sha256.Sum256([]byte(configPath))
	base := strings.TrimSuffix(filepath.Base(configPath), filepath.Ext(configPath))
	if len(base) > 32 { // a socket's path has 108 bytes at most
		base = base[:32]
	}
	return filepath.Join(folder(), base+"-"+hex.EncodeToString(sum[:6])+".sock")
}

// checkedPath is Path, or an error if that is none for a socket.
func checkedPath(configPath string) (string, error) {
	path := Path(configPath)
	if len(path) > pathBytes {
		return "", fmt.Errorf("the path %s is longer than %d bytes; set XDG_RUNTIME_DIR to a shorter folder", path, pathBytes)
	}
	return path, nil
}

func folder() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "apphost")
	}
	if os.Getuid() == 0 {
		return "/run/apphost"
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("apphost-%d", os.Getuid()))
}

// Server is the master's end.
type Server struct {
	listener *net.UnixListener

	ctx    context.Context // of all requests
	cancel context.CancelFunc

	mu      sync.Mutex
	asked   sync.WaitGroup // requests to be answered
	closed  bool
	keeping []net.Conn // until the process ends
	asking  map[*net.UnixConn]Request

	resumed []resumedRequest // to be answered by Serve
	handed  []*os.File       // what Resume was given, until Settle
}

// Listen opens the socket. One that a killed server left behind is replaced.
func Listen(configPath string) (*Server, error) {
	path, err := checkedPath(configPath)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	if err := ownFolder(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("open control socket: %w; set XDG_RUNTIME_DIR to a folder of this user", err)
	}
	// Two starts at the same moment must not remove each other's socket.
	lock, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock folder of control sockets: %w", err)
	}
	if conn, err := net.DialTimeout("unix", path, connectTimeout); err == nil {
		_ = conn.Close()
		return nil, ErrRunning
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove stale control socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("protect control socket: %w", err)
	}
	return newServer(l), nil
}

func newServer(l *net.UnixListener) *Server {
	s := &Server{listener: l, asking: map[*net.UnixConn]Request{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// ownFolder makes the folder, and refuses one that others could have made or
// can write to: they could put their own socket there.
func ownFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(stat.Uid) != os.Getuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is not a folder of this user alone", dir)
	}
	return nil
}
