package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// wantGone fails unless the server ended well and left nothing behind.
func wantGone(t *testing.T, s *apphosttest.Server) {
	t.Helper()
	if err := s.Wait(); err != nil {
		t.Errorf("the server ended badly: %v", err)
	}
	if left := s.Processes(); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if left := s.ControlFiles(); len(left) > 0 {
		t.Errorf("control sockets are left: %v", left)
	}
}

func TestE2EAGracefulStopServesToTheEnd(t *testing.T) {
	for name, ask := range map[string]func(s *apphosttest.Server){
		"SIGQUIT":  func(s *apphosttest.Server) { s.Signal(syscall.SIGQUIT) },
		"SIGWINCH": func(s *apphosttest.Server) { s.Signal(syscall.SIGWINCH) },
	} {
		t.Run(name, func(t *testing.T) {
			s := apphosttest.New(t, plain, map[string]string{"hello": helloWasm, "echo": echoWasm})
			s.Detached = true
			s.Start()
			roundTrip, hangUp := hold(t, s.Addr("echo"))
			ask(s)
			if _, ok := s.WaitLog("stopping gracefully", nil); !ok {
				t.Fatal("it does not stop")
			}
			apphosttest.Eventually(t, apphosttest.Patience, "the others leave", func() bool { return len(s.Children()) == 1 })
			apphosttest.Eventually(t, apphosttest.Patience, "new clients are refused", func() bool { return refused(s.Addr("web")) })
			if err := roundTrip(); err != nil {
				t.Errorf("an open connection: %v", err)
			}
			if out, code := s.Run("reload", "-c", "config.toml"); code != 1 || !strings.Contains(out, "stopping") {
				t.Errorf("a reload meanwhile: exit status %d: %s", code, out)
			}
			hangUp()
			wantGone(t, s)
		})
	}
}

// refused reports whether nobody listens at an address any longer. Before that, who
// connects to a server that stops gracefully has no answer.
func refused(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// One child serves and cannot come soon; a queue of clients who have sent
// their requests waits behind it. Each gets its response.
func TestE2EAGracefulStopServesTheQueue(t *testing.T) {
	config := strings.Replace(plain, "[mpm]",
		"[mpm]\nstart_servers = 1\nmin_spare_servers = 1\nmax_spare_servers = 2\nmax_request_workers = 1", 1)
	s := apphosttest.Start(t, config, map[string]string{"hello": helloWasm, "echo": echoWasm})
	roundTrip, hangUp := hold(t, s.Addr("echo"))
	const clients = 60
	var group sync.WaitGroup
	for range clients {
		conn, err := net.Dial("tcp", s.Addr("web"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(apphosttest.Patience))
		if _, err := io.WriteString(conn, "GET /hello/ HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			got, err := io.ReadAll(conn)
			if err != nil || !strings.Contains(string(got), "200 OK") {
				t.Errorf("a client that waited got %q, %v", got, err)
			}
		})
	}
	s.Signal(syscall.SIGQUIT)
	if _, ok := s.WaitLog("stopping gracefully", nil); !ok {
		t.Fatal("it does not stop")
	}
	if err := roundTrip(); err != nil {
		t.Error(err)
	}
	hangUp()
	group.Wait()
	wantGone(t, s)
}

func TestE2EAGracefulStopCanBeCutShort(t *testing.T) {
	t.Run("by its timeout", func(t *testing.T) {
		config := strings.Replace(plain, "[mpm]", "[mpm]\ngraceful_shutdown_timeout = \"500ms\"", 1)
		s := apphosttest.Start(t, config, map[string]string{"hello": helloWasm, "echo": echoWasm})
		roundTrip, _ := hold(t, s.Addr("echo"))
		s.Signal(syscall.SIGQUIT)
		wantGone(t, s)
		if err := roundTrip(); err == nil {
			t.Error("the connection goes on")
		}
	})
	t.Run("by SIGTERM", func(t *testing.T) {
		s := startPlain(t)
		roundTrip, _ := hold(t, s.Addr("echo"))
		s.Signal(syscall.SIGQUIT)
		if _, ok := s.WaitLog("stopping gracefully", nil); !ok {
			t.Fatal("it does not stop")
		}
		s.Signal(syscall.SIGTERM)
		wantGone(t, s)
		if err := roundTrip(); err == nil {
			t.Error("the connection goes on")
		}
	})
}

// A terminal sends SIGWINCH whenever its window is resized.
func TestE2EResizingTheTerminalStopsNothing(t *testing.T) {
	pty, tty := terminal(t)
	s := apphosttest.New(t, plain, map[string]string{"hello": helloWasm, "echo": echoWasm})
	s.Terminal = tty
	s.Start()
	for i := range 5 {
		if err := unix.IoctlSetWinsize(int(pty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(80 + i)}); err != nil {
			t.Fatal(err)
		}
		s.Signal(syscall.SIGWINCH)
	}
	s.Reload() // which a server that stops refuses
	if err := echo(s.Addr("echo"), "x"); err != nil {
		t.Error(err)
	}
}

// terminal opens a terminal and the other side of it.
func terminal(t *testing.T) (pty, tty *os.File) {
	t.Helper()
	pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = pty.Close() })
	if err := unix.IoctlSetPointerInt(int(pty.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(pty.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	return pty, tty
}
