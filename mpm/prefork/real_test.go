package prefork

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
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
func TestMain(m *testing.M) {
	switch os.Args[0] {
	case RoleCandidate:
		os.Exit(candidateMain())
	case RoleChild:
		os.Exit(childMain())
	}
	os.Exit(m.Run())
}

type testConfig struct {
	Options  mpm.Options
	Greeting string
}

func candidateMain() int {
	c, err := OpenCandidate(os.Args)
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
	if err := c.Done(&cfg.Options, []image.Section{{Name: "greeting", Data: []byte(cfg.Greeting)}}); err != nil {
		c.Fail(err)
		return 1
	}
	return 0
}

func childMain() int {
	Prepare("prefork-test", signal.Ignore)
	c, err := OpenChild(os.Args)
	if err != nil {
		return ExitFatal
	}
	greeting, _ := c.Image.Section("greeting")
	if string(greeting) == "refuse" {
		return c.Fail(fmt.Errorf("refusing to serve"))
	}
	if err := c.Serve(context.Background(), greeter(greeting)); err != nil {
		return c.Fail(err)
	}
	return ExitOK
}

// greeter writes its greeting and the child's pid, then echoes until the peer
// closes; between messages it is in keepalive.
type greeter string

func (g greeter) ServeConn(_ context.Context, c mpm.Conn) {
	fmt.Fprintf(c, "%s %d\n", string(g), os.Getpid())
	buf := make([]byte, 1024)
	for {
		c.SetState(mpm.StateKeepalive)
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		c.SetState(mpm.StateWriting)
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

// server is a master running in this process.
type server struct {
	*testing.T
	master *Master
	path   string
	cfg    testConfig
	addr   string
	ended  chan error
}

func startServer(t *testing.T, change func(*testConfig)) *server {
	t.Helper()
	s := &server{T: t, path: filepath.Join(t.TempDir(), "config.json"), ended: make(chan error, 1)}
	s.cfg = testConfig{Greeting: "one", Options: mpm.Options{
		Listeners:    []mpm.Listener{{Name: "echo", Address: "127.0.0.1:0", Backlog: 128}},
		StartServers: 3, MinSpareServers: 2, MaxSpareServers: 6, MaxRequestWorkers: 32, ServerLimit: 64,
		StartTimeout: 30 * time.Second, CandidateTimeout: 30 * time.Second, KillTimeout: 5 * time.Second,
	}}
	if change != nil {
		change(&s.cfg)
	}
	s.write()
	serving := make(chan Status, 16)
	s.master = NewMaster(Config{
		ConfigPath: s.path,
		Logger:     slog.New(slog.NewTextHandler(t.Output(), nil)),
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
		s.addr = st.Sockets[0].Address.String()
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

func TestReloadsUnderLoadLoseNothing(t *testing.T) {
	s := startServer(t, nil)
	const clients, reloads = 8, 10
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				conn, _, _, err := s.dial()
				if err != nil {
					t.Errorf("lost a connection: %v", err)
					return
				}
				_, _ = conn.Write([]byte("ping"))
				if _, err := io.ReadFull(conn, make([]byte, 4)); err != nil {
					// Told to leave between two messages: an end of stream
					// is what the protocol of greeter allows, a reset is not.
					if err != io.EOF {
						t.Errorf("lost a message: %v", err)
					}
				}
				_ = conn.Close()
			}
		})
	}
	for i := range reloads {
		s.cfg.Greeting = fmt.Sprintf("generation-%d", i+2)
		s.write()
		if r := s.ask(Reload); len(r.Errors) > 0 || r.Generation != uint64(i+2) {
			t.Fatalf("reload: %+v", r)
		}
		conn, greeting, _, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		if greeting != s.cfg.Greeting {
			t.Errorf("after the reload %q answered, want %q", greeting, s.cfg.Greeting)
		}
	}
	close(stop)
	group.Wait()
}

func TestAHeldConnectionOutlivesItsGeneration(t *testing.T) {
	s := startServer(t, nil)
	held, _, pid, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	s.cfg.Greeting = "refuse"
	s.write()
	if r := s.ask(Reload); len(r.Errors) == 0 || !strings.Contains(r.Errors[0], "refusing to serve") {
		t.Fatalf("a reload that cannot work: %+v", r)
	}
	if _, err := held.Write([]byte("still")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(held, make([]byte, 5)); err != nil {
		t.Errorf("the failed reload ended a connection: %v", err)
	}
	conn, greeting, _, err := s.dial()
	if err != nil || greeting != "one" {
		t.Fatalf("after the failed reload: %q, %v", greeting, err)
	}
	_ = conn.Close()

	s.cfg.Greeting = "two"
	s.write()
	if r := s.ask(Reload); len(r.Errors) > 0 {
		t.Fatalf("reload: %+v", r)
	}
	// Idle between messages, the old child closes the connection and leaves.
	if n, err := held.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read on an idle connection of the old generation: %d, %v; want EOF", n, err)
	}
	_ = pid
}

func TestAKilledChildCostsOnlyItsOwnConnection(t *testing.T) {
	s := startServer(t, nil)
	mine, _, pid, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	other, _, _, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := mine.Read(make([]byte, 1)); err == nil {
		t.Error("a connection outlived its child")
	}
	_ = mine.Close()
	if _, err := other.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(other, make([]byte, 1)); err != nil {
		t.Errorf("another child's connection was lost: %v", err)
	}
	for range 20 {
		conn, _, _, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
}

func TestABurstFindsChildrenInTime(t *testing.T) {
	s := startServer(t, func(c *testConfig) { c.Options.MaxRequestWorkers = 40 })
	const clients = 40
	var group sync.WaitGroup
	start := time.Now()
	conns := make([]net.Conn, clients)
	for i := range clients {
		group.Go(func() {
			conn, _, _, err := s.dial()
			if err != nil {
				t.Errorf("client %d: %v", i, err)
				return
			}
			conns[i] = conn
		})
	}
	group.Wait()
	t.Logf("%d connections held at once after %s", clients, time.Since(start))
	pids := make(map[net.Conn]bool)
	for _, c := range conns {
		if c != nil {
			pids[c] = true
			_ = c.Close()
		}
	}
}

func TestDescriptorsAreLevelOverManyReloads(t *testing.T) {
	s := startServer(t, nil)
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("there is no /proc here")
		}
		return len(entries)
	}
	settled := func() int { // old generations end a moment after the answer
		deadline := time.Now().Add(10 * time.Second)
		last, same := count(), 0
		for same < 50 && time.Now().Before(deadline) {
			s.ask(Reload)
			if n := count(); n == last {
				same += 10
			} else {
				last, same = n, 0
			}
		}
		return last
	}
	before := settled()
	for range 30 {
		if r := s.ask(Reload); len(r.Errors) > 0 {
			t.Fatalf("reload: %+v", r)
		}
	}
	if after := settled(); after > before+4 {
		t.Errorf("%d descriptors, %d before 30 reloads", after, before)
	}
}

func TestAChildLeavesAfterItsShareOfConnections(t *testing.T) {
	s := startServer(t, func(c *testConfig) {
		c.Options.MaxConnectionsPerChild = 3
		c.Options.StartServers, c.Options.MinSpareServers, c.Options.MaxSpareServers, c.Options.MaxRequestWorkers = 1, 1, 2, 1
	})
	served := make(map[int]int)
	for range 12 {
		conn, _, pid, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		served[pid]++
		_ = conn.Close()
	}
	if len(served) < 4 {
		t.Errorf("%d children served 12 connections, want 4", len(served))
	}
	for pid, n := range served {
		if n > 3 {
			t.Errorf("child %d served %d connections, its share is 3", pid, n)
		}
	}
}
