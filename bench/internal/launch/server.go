package launch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/apphost/apphost/bench/internal/probe"
)

// Build builds the server of this repository, whose top is the working folder,
// into dir, and returns its path.
func Build(dir string) (string, error) {
	binary := filepath.Join(dir, "apphost")
	return binary, probe.Command(nil, "go", "build", "-o", binary, "./cmd/apphost")
}

// GoGuest builds a package as a plugin in Go.
func GoGuest(file, pkg string) error {
	return probe.Command([]string{"GOOS=wasip1", "GOARCH=wasm"}, "go", "build", "-buildmode=c-shared", "-o", file, pkg)
}

// Prepare makes a folder with a configuration and plugins, files by their names.
// The cache of compiled code is in the folder, and the log is JSON.
func Prepare(dir, config string, plugins map[string]string) error {
	if err := os.MkdirAll(filepath.Join(dir, "plugins"), 0o700); err != nil {
		return err
	}
	for name, from := range plugins {
		wasm, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "plugins", name+".wasm"), wasm, 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "config.toml"), []byte(config), 0o600)
}

// Event is a line of the server's log.
type Event struct {
	Time     time.Time
	Msg      string
	PID      int
	URL      string
	Address  string
	Listener string
}

// Server is one of ours.
type Server struct {
	*Process
	dir  string
	read int // how much of the log was awaited already

	mu      sync.Mutex
	log     []Event
	changed chan struct{} // closed, and a new one made, with each line
	closed  bool
}

// Start starts the server in a folder that was prepared.
func Start(binary, dir string) (*Server, error) {
	cmd := exec.Command(binary, "-c", "config.toml")
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "XDG_RUNTIME_DIR="+dir)
	pipe, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, changed: make(chan struct{})}
	s.Process, err = Run(cmd, func() { s.follow(pipe) })
	return s, err
}

func (s *Server) follow(log io.Reader) {
	for lines := bufio.NewScanner(log); lines.Scan(); {
		var e Event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			e.Msg = lines.Text() // before there is a log
		}
		s.note(e, false)
	}
	s.note(Event{}, true)
}

func (s *Server) note(e Event, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, e)
	s.closed = closed
	close(s.changed)
	s.changed = make(chan struct{})
}

// Await returns the next line with that message which was not awaited yet.
func (s *Server) Await(ctx context.Context, message string) (Event, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for {
		s.mu.Lock()
		changed, closed := s.changed, s.closed
		for ; s.read < len(s.log); s.read++ {
			if e := s.log[s.read]; e.Msg == message {
				s.read++
				s.mu.Unlock()
				return e, nil
			}
		}
		s.mu.Unlock()
		if closed {
			return Event{}, fmt.Errorf("the server in %s ended without saying %q: %s", s.dir, message, s.lastWords())
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Event{}, errors.Join(fmt.Errorf("the server did not say %q", message), ctx.Err())
		}
	}
}

func (s *Server) lastWords() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.log) - 1; i >= 0; i-- {
		if s.log[i].Msg != "" {
			return s.log[i].Msg
		}
	}
	return "it logged nothing"
}

// Events is the log so far.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Event(nil), s.log...)
}

// URL is that of its first HTTP listener, after it serves.
func (s *Server) URL() (*url.URL, error) {
	for _, e := range s.Events() {
		if e.Msg == "listening" && e.URL != "" {
			return url.Parse(e.URL)
		}
	}
	return nil, errors.New("the server named no HTTP listener")
}

// ReadyTimes are how long each child took from its spawn until it was ready, if
// the log has the level debug.
func (s *Server) ReadyTimes() []time.Duration {
	spawned := make(map[int]time.Time)
	var took []time.Duration
	for _, e := range s.Events() {
		switch e.Msg {
		case "child spawned":
			spawned[e.PID] = e.Time
		case "child is ready":
			took = append(took, e.Time.Sub(spawned[e.PID]))
		}
	}
	return took
}

// Memory are the proportional set sizes in KiB of the master and of each child.
func (s *Server) Memory() (master int, children []int, err error) {
	if master, err = probe.PSS(s.PID()); err != nil {
		return 0, nil, err
	}
	pids, err := probe.Children(s.PID())
	for _, pid := range pids {
		kib, fault := probe.PSS(pid)
		err = errors.Join(err, fault)
		children = append(children, kib)
	}
	return master, children, err
}
