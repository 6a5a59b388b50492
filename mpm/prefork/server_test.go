package prefork

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/image"
)

// The tests in this file run real processes: the test binary itself is
// started as candidate and child. Its configuration is a JSON file, its
// handler answers with the greeting of its generation and then echoes.
func init() { runtime.LockOSThread() } // see Child.Serve

func TestMain(m *testing.M) {
	switch os.Args[0] {
	case RoleCandidate:
		os.Exit(candidateMain())
	case RoleChild:
		os.Exit(childMain())
	}
	// Or the race detector makes every child take a second to exit.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic("BUG: " + err.Error())
	}
	runtime.UnlockOSThread()
	os.Exit(m.Run())
}

// floodLines of 200 bytes are more than a pipe holds.
const floodLines = 900

// lectureBytes fit the buffers of a socket.
const lectureBytes = 64 << 10

type testConfig struct {
	Options  mpm.Options
	Greeting string
	Pause    time.Duration // that each candidate makes
	Tally    string        // the file where each child that leaves writes what it did
}

func candidateMain() int {
	c, err := OpenCandidate(os.Args, os.Getenv)
	if err != nil {
		return ExitFatal
	}
	raw, err := os.ReadFile(c.ConfigPath)
	if err != nil {
		c.Fail(err)
		return 1
	}
	var cfg testConfig
	if err := json.Unmarshal(raw, &cfg); err != nil {
		c.Fail(err)
		return 1
	}
	if path, ok := strings.CutPrefix(cfg.Greeting, "hooks:"); ok {
		if err := c.Begin(candidateHooks(path)); err != nil {
			c.Fail(err)
			return 1
		}
	}
	if cfg.Pause > 0 {
		<-time.After(cfg.Pause)
	}
	if cfg.Greeting == "flood" {
		c.Fail(errors.New(strings.Repeat(strings.Repeat("x", 200)+"\n", floodLines)))
		return 1
	}
	if err := c.Seal(&cfg.Options, []image.Section{
		{Name: "greeting", Data: []byte(cfg.Greeting)}, {Name: "tally", Data: []byte(cfg.Tally)},
	}); err != nil {
		c.Fail(err)
		return 1
	}
	if cfg.Greeting != "unconfined" { // as if only children could not be confined
		if err := c.Confine(&cfg.Options.Privileges); err != nil {
			c.Fail(err)
			return 1
		}
	}
	if cfg.Greeting == "selfie" {
		c.Warn(portrait())
	}
	c.Done()
	return 0
}

func childMain() int {
	Prepare("prefork-test")
	c, err := OpenChild(os.Args, os.Getenv)
	if err != nil {
		return ExitFatal
	}
	greeting, _ := c.Image.Section("greeting")
	if short, ok := shortages[string(greeting)]; ok {
		short()
	}
	dir, fourth := strings.CutPrefix(string(greeting), refuseTheFourth)
	if string(greeting) == "refuse" || fourth && isFourth(dir, c.Generation) {
		return c.Fail(fmt.Errorf("refusing to serve"))
	}
	if path, ok := strings.CutPrefix(string(greeting), "hooks:"); ok {
		if err := takePart(c, path); err != nil {
			return c.Fail(err)
		}
	}
	if string(greeting) == "selfie" && !diesWithParent() {
		return c.Fail(errors.New("it would outlive its master"))
	}
	var h mpm.ConnHandler = greeter(greeting)
	switch string(greeting) {
	case "logs":
		h = clerk{c}
	case "status":
		h = teller{c}
	}
	ready := func() {
		runtime.UnlockOSThread()
		if string(greeting) == "hostile" { // not before: its own rubbish would keep it from saying that it is ready
			go scribble(c)
		}
	}
	switch {
	case string(greeting) == "no descriptor for epoll":
		starve(c)
	case string(greeting) == "starved-but-one" && c.Slot%5 != 4:
		ready = func() { starve(c); runtime.UnlockOSThread() }
	}
	if err := c.Serve(context.Background(), h, ready); err != nil {
		return c.Fail(err)
	}
	if path, _ := c.Image.Section("tally"); len(path) > 0 {
		return writeTally(string(path), c)
	}
	return ExitOK
}

// writeTally adds a line to a file: what a child served, took in passing, and woke for in vain.
func writeTally(path string, c *Child) int {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return ExitFatal
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, c.tally.served, c.tally.inPassing, c.tally.inVain); err != nil {
		return ExitFatal
	}
	return ExitOK
}

// starve keeps this process from opening anything more.
func starve(c *Child) {
	free, err := unix.Dup(int(c.report))
	if err != nil {
		return
	}
	_ = unix.Close(free)
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(free), Max: uint64(free)})
}

// scribble is what a child can do that was taken over by its guest: it writes
// random bytes wherever it shares memory or a pipe with the master.
func scribble(c *Child) {
	page, err := c.board.FD().Map(4096, true)
	if err != nil {
		return
	}
	noise := rand.New(rand.NewPCG(uint64(os.Getpid()), 0))
	for {
		for i := range page {
			page[i] = byte(noise.Uint32())
		}
		_, _ = c.report.Write(page)
		_, _ = c.newLogs.TrySend(page[:16])
		_, _ = c.Image.FD().Write(page)
		if board := c.bulletin.Load(); board != nil {
			_, _ = c.wish.Write(page)
			_, _ = board.FD().Write(page)
		}
	}
}

// greeter writes its greeting and the child's pid, then echoes until the peer
// closes; between messages it is in keepalive, but not after the message "hold".
type greeter string

func (g greeter) ServeConn(_ context.Context, c mpm.Conn) {
	if g == "brief" { // leaves the client to itself
		fmt.Fprintf(c, "%s %d\n", string(g), os.Getpid())
		return
	}
	if g == "mayfly" {
		os.Exit(2)
	}
	if g == "selfie" {
		fmt.Fprintln(c, portrait())
		return
	}
	if strings.HasPrefix(string(g), "hold") { // serves until the client goes, told to leave or not
		fmt.Fprintf(c, "%s %d\n", string(g), os.Getpid())
		_, _ = io.Copy(io.Discard, c)
		return
	}
	if g == "lecture" { // says a lot, and does not listen
		_, _ = c.Write(make([]byte, lectureBytes))
		return
	}
	fmt.Fprintf(c, "%s %d\n", string(g), os.Getpid())
	buf := make([]byte, 1024)
	for held := false; ; {
		if !held {
			c.SetState(mpm.StateKeepalive)
		}
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		c.SetState(mpm.StateWriting)
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
		held = string(buf[:n]) == "hold"
		if string(buf[:n]) == "crash" {
			panic("BUG: as the client has asked")
		}
	}
}

// server is a master running in this process.
type server struct {
	*testing.T
	master  *Master
	path    string
	cfg     testConfig
	addr    string // of the first listener
	sockets []Socket
	ended   chan error
}

func plainConfig() testConfig {
	return testConfig{Greeting: "one", Options: mpm.Options{
		Listeners:    []mpm.Listener{{Name: "echo", Address: "127.0.0.1:0", Backlog: 128}},
		StartServers: 3, MinSpareServers: 2, MaxSpareServers: 6, MaxRequestWorkers: 32, ServerLimit: 64,
		StartTimeout: 30 * time.Second, CandidateTimeout: 30 * time.Second, KillTimeout: 5 * time.Second,
	}}
}

func startServer(t *testing.T, change func(*testConfig), publish ...func(Snapshot) []byte) *server {
	t.Helper()
	s := &server{T: t, path: filepath.Join(t.TempDir(), "config.json"), ended: make(chan error, 1)}
	s.cfg = plainConfig()
	if change != nil {
		change(&s.cfg)
	}
	s.write()
	serving := make(chan Status, 16)
	s.master = NewMaster(Config{
		ConfigPath: s.path, Environment: os.Environ(), Publish: append(publish, nil)[0],
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Serving: func(st Status) {
			select {
			case serving <- st:
			default:
			}
		},
	})
	go func() { s.ended <- s.master.Run() }()
	select {
	case st := <-serving:
		s.addr, s.sockets = st.Sockets[0].Address.String(), st.Sockets
	case err := <-s.ended:
		t.Fatalf("the server did not start: %v", err)
	}
	t.Cleanup(s.stop)
	return s
}

func (s *server) write() {
	raw, err := json.Marshal(s.cfg)
	if err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(s.path, raw, 0o600); err != nil {
		s.Fatal(err)
	}
}

func (s *server) ask(what Request) Result {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := s.master.Ask(ctx, what)
	if err != nil {
		s.Fatal(err)
	}
	return r
}

func (s *server) stop() {
	if s.ended == nil {
		return
	}
	s.ask(Stop)
	if err := <-s.ended; err != nil {
		s.Errorf("stop: %v", err)
	}
	s.ended = nil
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		s.Errorf("a process is left after the stop: wait4 gave %d, %v", pid, err)
	}
}

// dial connects and reads the greeting.
func (s *server) dial() (conn net.Conn, greeting string, pid int, err error) {
	conn, err = net.Dial("tcp", s.addr)
	if err != nil {
		return nil, "", 0, err
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	var line []byte
	for b := make([]byte, 1); ; {
		if _, err := conn.Read(b); err != nil {
			_ = conn.Close()
			return nil, "", 0, err
		}
		if b[0] == '\n' {
			break
		}
		line = append(line, b[0])
	}
	greeting, number, _ := strings.Cut(string(line), " ")
	pid, err = strconv.Atoi(number)
	return conn, greeting, pid, err
}

// clients connect, send a message and want it back, again and again until stop
// is closed. If greeting is given, they want no other.
func (s *server) clients(n int, greeting string) (stop chan struct{}, group *sync.WaitGroup) {
	stop, group = make(chan struct{}), new(sync.WaitGroup)
	for range n {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := s.ping(greeting); err != nil {
					s.Errorf("lost a connection: %v", err)
					return
				}
			}
		})
	}
	return stop, group
}

func (s *server) ping(greeting string) error {
	conn, got, _, err := s.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	if greeting != "" && got != greeting {
		return fmt.Errorf("greeted with %q, want %q", got, greeting)
	}
	_, _ = conn.Write([]byte("ping"))
	// Told to leave between two messages: an end of stream is what the
	// protocol of greeter allows, a reset is not.
	if _, err := io.ReadFull(conn, make([]byte, 4)); err != nil && err != io.EOF {
		return err
	}
	return nil
}
