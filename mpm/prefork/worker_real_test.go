package prefork

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
)

// startCrew starts a server of the worker model: at most so many children with
// so many threads each.
func startCrew(t *testing.T, children, threads int, change func(*testConfig)) *server {
	t.Helper()
	return startServer(t, func(c *testConfig) {
		o := &c.Options
		o.Model, o.ThreadsPerChild, o.MaxRequestWorkers = mpm.Worker, threads, children*threads
		o.StartServers, o.MinSpareServers, o.MaxSpareServers = 1, 0, 0
		o.MinSpareThreads, o.MaxSpareThreads = 1, 1+2*threads
		if change != nil {
			change(c)
		}
	})
}

// echoed sends a message and wants it back.
func echoed(conn net.Conn) error {
	if _, err := conn.Write([]byte("ping")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 4))
	return err
}

func TestOneChildServesManyConnectionsAtOnce(t *testing.T) {
	const threads = 8
	s := startCrew(t, 1, threads, nil)
	var conns []net.Conn
	pids := make(map[int]bool)
	for range threads {
		conn, _, pid, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		conns = append(conns, conn)
		pids[pid] = true
	}
	if len(pids) != 1 {
		t.Fatalf("%d children serve, want one", len(pids))
	}
	for i, conn := range conns {
		if err := echoed(conn); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	s.until("all threads are busy", func(now Snapshot) bool { return now.Busy == threads && now.Idle == 0 })
	served := make(chan error, 1)
	go func() { served <- s.ping("one") }()
	select {
	case err := <-served:
		t.Fatalf("one connection too many is served at once (%v)", err)
	case <-time.After(50 * time.Millisecond):
	}
	_ = conns[3].Close()
	if err := <-served; err != nil {
		t.Errorf("the connection that waited for a thread: %v", err)
	}
	s.until("one thread is free", func(now Snapshot) bool { return now.Busy == threads-1 && now.Idle == 1 })
}

func TestAKilledChildOfManyThreadsCostsOnlyItsOwnConnections(t *testing.T) {
	s := startCrew(t, 3, 4, func(c *testConfig) {
		c.Options.StartServers, c.Options.MaxSpareThreads = 3, 100
	})
	byPID := make(map[int][]net.Conn)
	for range 12 {
		conn, _, pid, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		byPID[pid] = append(byPID[pid], conn)
	}
	if len(byPID) != 3 {
		t.Fatalf("%d children serve 12 connections, want 3 with 4 each", len(byPID))
	}
	victim := 0
	for pid, conns := range byPID {
		if len(conns) != 4 {
			t.Errorf("child %d serves %d connections, want 4", pid, len(conns))
		}
		victim = pid
	}
	if err := unix.Kill(victim, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for pid, conns := range byPID {
		for _, conn := range conns {
			if err := echoed(conn); (err != nil) != (pid == victim) {
				t.Errorf("a connection of child %d, after %d was killed: %v", pid, victim, err)
			}
		}
	}
	for range 4 {
		conn, _, _, err := s.dial()
		if err != nil {
			t.Fatalf("after the child was made up for: %v", err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
}

func TestReloadsUnderLoadLoseNothingOfWorkers(t *testing.T) {
	s := startCrew(t, 8, 4, nil)
	stop, clients := s.clients(8, "")
	for i := range 10 {
		s.cfg.Greeting = fmt.Sprintf("generation-%d", i+2)
		s.cfg.Options.ThreadsPerChild = 2 << (i % 3) // a reload may change it
		s.write()
		if r := s.ask(Reload); len(r.Errors) > 0 || r.Generation != uint64(i+2) {
			t.Fatalf("reload: %+v", r)
		}
		if err := s.ping(s.cfg.Greeting); err != nil {
			t.Errorf("after the reload: %v", err)
		}
	}
	close(stop)
	clients.Wait()
}

// Every thread of the one child is parked between two messages or in the middle
// of one when a reload comes: the first are ended by their end of stream, the
// others go on.
func TestAReloadEndsKeepAliveOfWorkers(t *testing.T) {
	s := startCrew(t, 4, 4, func(c *testConfig) { c.Greeting = "held" })
	var parked, held []net.Conn
	for i := range 4 {
		conn, _, _, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		message := "ping"
		if i%2 == 0 {
			message = "hold" // and the handler reads on without keep-alive
			held = append(held, conn)
		} else {
			parked = append(parked, conn)
		}
		if _, err := conn.Write([]byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
	}
	s.cfg.Greeting = "two"
	s.write()
	if r := s.ask(Reload); len(r.Errors) > 0 {
		t.Fatalf("reload: %+v", r)
	}
	for _, conn := range parked {
		if n, err := conn.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("a parked connection after the reload: %d, %v; want its end", n, err)
		}
	}
	for _, conn := range held {
		if err := echoed(conn); err != nil {
			t.Errorf("a connection in the middle of a message: %v", err)
		}
		_ = conn.Close()
	}
	s.until("the old generation is gone", func(now Snapshot) bool { return len(now.Generations) == 1 })
	if err := s.ping("two"); err != nil {
		t.Error(err)
	}
}

func TestAGracefulStopLosesNothingOfAFullQueueOfWorkers(t *testing.T) {
	const backlog, threads = 100, 3
	s := startCrew(t, 1, threads, func(c *testConfig) { c.Options.Listeners[0].Backlog = backlog })
	for range threads {
		busy, _, _, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = busy.Close() })
	}
	var clients sync.WaitGroup
	for range backlog {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		clients.Go(func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			if got, err := io.ReadAll(conn); err != nil || len(got) < len("one 1\n") {
				t.Errorf("a client that waited reads %q, %v", got, err)
			}
		})
	}
	s.askLater(GracefulStop)
	clients.Wait()
	s.gone()
}

// Children leave after their share, and idle ones above the maximum by the pod,
// while clients come without pause; nobody notices.
func TestWorkersComeAndGoUnderLoad(t *testing.T) {
	s := startCrew(t, 8, 2, func(c *testConfig) {
		c.Options.MaxConnectionsPerChild, c.Options.StartServers = 50, 8
	})
	stop, clients := s.clients(6, "one")
	first := make(map[int]bool)
	s.until("children serve", func(now Snapshot) bool {
		for _, slot := range now.Slots {
			first[slot.PID] = true
		}
		return len(first) >= 8
	})
	s.until("all of the first children have left", func(now Snapshot) bool {
		for _, slot := range now.Slots {
			if first[slot.PID] {
				return false
			}
		}
		return true
	})
	close(stop)
	clients.Wait()
	s.until("the idle ones above the maximum have left", func(now Snapshot) bool {
		return now.Idle <= s.cfg.Options.MaxSpareThreads && now.Busy == 0
	})
}

// As TestAClientThatStillSendsGetsTheWholeResponse, with threads.
func TestAClientOfAWorkerThatStillSendsGetsTheWholeResponse(t *testing.T) {
	s := startCrew(t, 1, 2, func(c *testConfig) { c.Greeting = "lecture" })
	for range 20 {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		for range 64 {
			if _, err := conn.Write(make([]byte, 4096)); err != nil {
				t.Fatalf("send: %v", err)
			}
		}
		if got, err := io.Copy(io.Discard, conn); err != nil || got != lectureBytes {
			t.Fatalf("received %d bytes, %v; want %d", got, err, lectureBytes)
		}
		_ = conn.Close()
	}
}

// Slow peers that do not close keep no thread.
func TestALingeringPeerKeepsNoThread(t *testing.T) {
	s := startCrew(t, 1, 1, func(c *testConfig) { c.Greeting = "lecture" })
	begun := time.Now()
	for range 5 {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.ReadFull(conn, make([]byte, lectureBytes)); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begun); took > lingerIdle {
		t.Errorf("five connections took %s: each waited for the peer before it", took)
	}
}

func TestTheModelStaysOverAReload(t *testing.T) {
	s := startServer(t, nil)
	o := &s.cfg.Options
	o.Model, o.ThreadsPerChild, o.MinSpareThreads, o.MaxSpareThreads = mpm.Worker, 2, 2, 8
	o.MinSpareServers, o.MaxSpareServers = 0, 0
	s.write()
	want := `mpm.model: it cannot change while the server runs (from "prefork" to "worker"); stop and start the server`
	if r := s.ask(Reload); len(r.Errors) != 1 || r.Errors[0] != want {
		t.Errorf("reload: %+v", r)
	}
	if err := s.ping("one"); err != nil {
		t.Error(err)
	}
}

func TestAHostileChildOfManyThreadsHarmsNobodyElse(t *testing.T) {
	s := startCrew(t, 3, 2, func(c *testConfig) {
		c.Greeting = "hostile"
		c.Options.KillTimeout = time.Second
	})
	for range 200 {
		if err := s.ping("hostile"); err != nil {
			t.Fatal(err)
		}
	}
	s.cfg.Greeting = "good"
	s.write()
	if r := s.ask(Reload); len(r.Errors) > 0 {
		t.Fatalf("reload: %+v", r)
	}
	s.until("one generation is left", func(now Snapshot) bool { return len(now.Generations) == 1 })
	if err := s.ping("good"); err != nil {
		t.Error(err)
	}
}

// What a reset peer leaves behind is an error to the handler, and a free
// thread.
func TestAResetFreesItsThread(t *testing.T) {
	s := startCrew(t, 1, 1, nil)
	for range 10 {
		conn, _, _, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		tcp := conn.(*net.TCPConn)
		if err := errors.Join(tcp.SetLinger(0), tcp.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
