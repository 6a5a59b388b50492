package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"syscall"
)

// ErrNotRunning is wrapped by what Ask returns when nobody answers.
var ErrNotRunning = errors.New("no server")

// Ask sends a request to the server of a configuration file and decodes the
// answer into one. It takes as long as what is asked for: that of a stop
// comes when the server's process has ended.
func Ask(ctx context.Context, configPath string, verb Verb, answer any) error {
	return AskFor(ctx, configPath, Request{Verb: verb}, answer)
}

// AskFor is Ask for a request that has more to say than a verb.
func AskFor(ctx context.Context, configPath string, r Request, answer any) error {
	path, err := checkedPath(configPath)
	if err != nil {
		return fmt.Errorf("reach server: %w", err)
	}
	dialer := net.Dialer{Timeout: connectTimeout}
	conn, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w with the configuration file %s answers at %s; it is started with 'apphost -c', by the same user and with the same XDG_RUNTIME_DIR", ErrNotRunning, configPath, path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("reach server: %w; it is another user's: run this as that user", err)
	default:
		return fmt.Errorf("reach server: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := json.NewEncoder(conn).Encode(r); err != nil {
		return fmt.Errorf("ask server: %w", err)
	}
	if err := json.NewDecoder(conn).Decode(answer); err != nil {
		return fmt.Errorf("the server went away before it answered: %w", err)
	}
	if r.Verb.endsServer() {
		_, _ = io.Copy(io.Discard, conn)
	}
	return nil
}
