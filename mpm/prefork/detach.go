package prefork

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// Launched is a detached master that starts, as its launcher sees it.
type Launched struct {
	PID int

	process sys.Process
	said    *os.File // its standard error, until it logs to a file
	ready   *os.File
}

// lastWords is how long to wait for the rest of what a master said that has
// ended, or serves.
const lastWords = time.Second

// Launch starts this program as a master (RoleMaster) with args, in a session of
// its own, in the root folder, and without a terminal. Paths in args are
// absolute, therefore.
func Launch(args, environment []string) (*Launched, error) {
	if err := sys.KeepFromChildren(); err != nil {
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open null device: %w", err)
	}
	defer func() { _ = null.Close() }()
	said, saidW, err := sys.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = saidW.Close() }()
	ready, readyW, err := sys.Pipe()
	if err != nil {
		_ = said.Close()
		return nil, err
	}
	defer func() { _ = readyW.Close() }()
	in := sys.FD(null.Fd())
	proc, err := sys.Start(sys.Command{
		Args: append([]string{RoleMaster}, args...), Env: environment, Dir: "/", NewSession: true,
		Files: []sys.FD{in, in, saidW, readyW},
	})
	if err != nil {
		_, _ = said.Close(), ready.Close()
		return nil, err
	}
	return &Launched{
		PID: proc.PID, process: proc,
		said: os.NewFile(uintptr(said), "errors"), ready: os.NewFile(uintptr(ready), "ready"),
	}, nil
}

// ErrNotStarted is returned by Wait when the master has ended instead of serving.
// It has said why.
var ErrNotStarted = errors.New("the server did not start")

// Wait waits until the master serves, and copies to stderr what it says until
// then. When ctx ends first, it is told to stop.
func (l *Launched) Wait(ctx context.Context, stderr io.Writer) error {
	defer func() { _, _, _ = l.process.Close(), l.said.Close(), l.ready.Close() }()
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(stderr, l.said)
	}()
	stop := context.AfterFunc(ctx, func() { _ = l.process.Signal(syscall.SIGTERM) })
	defer stop()
	var word [1]byte
	n, _ := l.ready.Read(word[:]) // the end of the stream is the end of the process
	select {
	case <-copied:
	case <-time.After(lastWords):
	}
	if n == 0 {
		return ErrNotStarted
	}
	return nil
}

// Detached takes over what the launcher handed to this process. The function
// returned tells it that the master serves.
func Detached() (serves func(), err error) {
	ready := inherit(fdDetachedReady)
	if !ready.IsPipe() {
		return nil, fmt.Errorf("start master: this role is started by apphost itself: descriptor %d is not a pipe", ready)
	}
	_ = sys.SetName("apphost") // without /proc the name stays "exe"
	return func() {
		_, _ = ready.Write([]byte{reportReady}) // the launcher may be gone
		_ = ready.Close()
	}, nil
}
