package prefork

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// gone waits for the end of a server that was asked to stop.
func (s *server) gone() {
	s.Helper()
	select {
	case err := <-s.ended:
		if err != nil {
			s.Errorf("the server ended with %v", err)
		}
		s.ended = nil
	case <-time.After(20 * time.Second):
		s.Fatal("the server does not end")
	}
}

// The one child serves, and a full queue of clients, connected as far as they
// can tell, waits for it: a graceful stop serves every one of them.
func TestAGracefulStopLosesNothingOfAFullQueue(t *testing.T) {
	const backlog = 100
	s := startServer(t, func(c *testConfig) {
		o := &c.Options
		o.StartServers, o.MinSpareServers, o.MaxSpareServers, o.MaxRequestWorkers = 1, 1, 2, 1
		o.Listeners[0].Backlog = backlog
	})
	busy, _, _, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	var waiting []net.Conn
	for range backlog {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		waiting = append(waiting, conn)
	}
	s.askLater(GracefulStop)
	var clients sync.WaitGroup
	for _, conn := range waiting {
		clients.Go(func() {
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			if got, err := io.ReadAll(conn); err != nil || len(got) < len("one 1\n") {
				t.Errorf("a client that waited reads %q, %v", got, err)
			}
		})
	}
	clients.Wait()
	s.gone()
}

// Clients come without pause until they are refused. Whoever had a connection
// must have been served, up to the very last one.
func TestAGracefulStopUnderLoadLosesNothing(t *testing.T) {
	for range 3 {
		s := startServer(t, nil)
		var clients sync.WaitGroup
		served := make(chan struct{}, 1024)
		for range 8 {
			clients.Go(func() {
				for {
					conn, err := net.DialTimeout("tcp", s.addr, 10*time.Second)
					if errors.Is(err, syscall.ECONNREFUSED) {
						return
					}
					if err == nil {
						err = greeted(conn)
					}
					if err != nil {
						t.Errorf("lost a connection: %v", err)
						return
					}
					select {
					case served <- struct{}{}:
					default:
					}
				}
			})
		}
		for range 100 {
			<-served
		}
		s.askLater(GracefulStop)
		s.gone()
		clients.Wait()
	}
}

// greeted reads the greeting.
func greeted(conn net.Conn) error {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Read(make([]byte, 64)); err != nil {
		return fmt.Errorf("read greeting: %w", err)
	}
	return nil
}

// askLater asks and does not wait for the result.
func (s *server) askLater(what Request) {
	s.master.events <- requested{what: what}
}
