// Package control is the way from a command such as "apphost reload" to the
// running master: a Unix socket that only the server's user can reach, named
// after the configuration file. There is one for each configuration file, so
// it also tells that a server with that file runs already.
//
// A request is one line of JSON, and so is its answer. The package carries
// requests; it decides nothing.
package control

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm/prefork"
)

const (
	// connectTimeout bounds everything but the wait for the answer.
	connectTimeout = 5 * time.Second
	requestBytes   = 4 << 10
	// pathBytes bounds a socket's path; see unix(7).
	pathBytes = 107
)

type request struct {
	Verb string `json:"verb"`
}

const verbReload = "reload"

// ErrRunning is returned by Listen when a server with the same configuration
// file runs already.
var ErrRunning = errors.New("a server with this configuration file runs already; use 'apphost reload' to reload it")

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
	path     string
}

// Listen opens the socket. One that a killed server left behind is replaced.
func Listen(configPath string) (*Server, error) {
	path := Path(configPath)
	if len(path) > pathBytes {
		return nil, fmt.Errorf("open control socket: its path %s is longer than %d bytes; set XDG_RUNTIME_DIR to a shorter folder", path, pathBytes)
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
	return &Server{listener: l, path: path}, nil
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

// Serve answers requests until the server is closed.
func (s *Server) Serve(reload func(context.Context) prefork.Result) {
	for {
		conn, err := s.listener.AcceptUnix()
		if err != nil {
			return
		}
		go answer(conn, reload)
	}
}

func answer(conn *net.UnixConn, reload func(context.Context) prefork.Result) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(connectTimeout))
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, requestBytes)
	if !lines.Scan() {
		return // only looked whether somebody is here
	}
	var result prefork.Result
	var r request
	switch err := json.Unmarshal(lines.Bytes(), &r); {
	case err != nil:
		result.Errors = []string{"the request is not understood: " + err.Error()}
	case r.Verb == verbReload:
		_ = conn.SetDeadline(time.Time{})
		result = reload(context.Background())
		_ = conn.SetDeadline(time.Now().Add(connectTimeout))
	default:
		result.Errors = []string{fmt.Sprintf("this server does not know the request %q", r.Verb)}
	}
	_ = json.NewEncoder(conn).Encode(result) // whoever asked may be gone
}

// Close closes and removes the socket.
func (s *Server) Close() {
	_ = s.listener.Close() // which also unlinks it
}

// Reload asks the server of a configuration file to reload, and waits for the
// result, which takes as long as the plugins do.
func Reload(ctx context.Context, configPath string) (prefork.Result, error) {
	var result prefork.Result
	dialer := net.Dialer{Timeout: connectTimeout}
	conn, err := dialer.DialContext(ctx, "unix", Path(configPath))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			return result, fmt.Errorf("no server with the configuration file %s answers at %s; it is started with 'apphost -c', by the same user and with the same XDG_RUNTIME_DIR", configPath, Path(configPath))
		}
		return result, fmt.Errorf("reach server: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := json.NewEncoder(conn).Encode(request{Verb: verbReload}); err != nil {
		return result, fmt.Errorf("ask server: %w", err)
	}
	if err := json.NewDecoder(conn).Decode(&result); err != nil {
		return result, fmt.Errorf("the server went away before it answered: %w", err)
	}
	return result, nil
}
