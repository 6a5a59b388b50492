package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// notified is a service manager that a server reports to.
type notified struct {
	*testing.T
	conn *net.UnixConn
}

func listenForNotes(t *testing.T, s *apphosttest.Server, name string) notified {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s.Env = append(s.Env, "NOTIFY_SOCKET="+name)
	return notified{t, c}
}

// read is the next message, which is to be about want.
func (n notified) read(want any) string {
	n.Helper()
	_ = n.conn.SetReadDeadline(time.Now().Add(apphosttest.Patience))
	buf := make([]byte, 4096)
	got, err := n.conn.Read(buf)
	if err != nil {
		n.Fatalf("waiting for %q: %v", want, err)
	}
	return string(buf[:got])
}

// next is the next message, which must begin with the first of want and hold
// the others.
func (n notified) next(want ...string) string {
	n.Helper()
	message := n.read(want)
	if !strings.HasPrefix(message, want[0]+"\n") {
		n.Errorf("got %q, want %q first", message, want[0])
	}
	for _, w := range want[1:] {
		if !strings.Contains(message, w) {
			n.Errorf("got %q, want %q in it", message, w)
		}
	}
	return message
}

func monotonicMicroseconds(t *testing.T) int64 {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return ts.Nano() / 1000
}

// reloading wants the message of a reload that was asked for after a time.
func (n notified) reloading(after int64) {
	n.Helper()
	message := n.next("RELOADING=1", "MONOTONIC_USEC=")
	_, rest, _ := strings.Cut(message, "MONOTONIC_USEC=")
	text, _, _ := strings.Cut(rest, "\n")
	if at, err := strconv.ParseInt(text, 10, 64); err != nil || at < after || at > monotonicMicroseconds(n.T) {
		n.Errorf("the reload began at %q, %v; want after %d", text, err, after)
	}
}

func TestE2ETheServiceManagerIsTold(t *testing.T) {
	for name, socket := range map[string]string{
		"path":     socketFolder(t) + "/notify",
		"abstract": fmt.Sprintf("@apphost-e2e-%d", os.Getpid()),
	} {
		t.Run(name, func(t *testing.T) {
			s := apphosttest.New(t, plain, map[string]string{"hello": helloWasm, "echo": echoWasm})
			n := listenForNotes(t, s, socket)
			s.Start()
			n.next("READY=1", "STATUS=generation 1 serves")

			asked := monotonicMicroseconds(t)
			s.Reload()
			n.reloading(asked)
			n.next("READY=1", "STATUS=generation 2 serves")

			appendConfig("\n[nonsense]\n")(t, s)
			asked = monotonicMicroseconds(t)
			s.Signal(unix.SIGHUP) // as systemd's notify-reload does
			n.reloading(asked)
			n.next("READY=1", "STATUS=the reload failed, generation 2 serves on: ", "nonsense")

			for _, pid := range s.Children() {
				if environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); bytes.Contains(environ, []byte("NOTIFY_SOCKET")) {
					t.Errorf("child %d could speak to the service manager", pid)
				}
			}
			s.Stop()
			n.next("STOPPING=1", "EXTEND_TIMEOUT_USEC=")
			_ = n.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
			if got, err := n.conn.Read(make([]byte, 1)); err == nil {
				t.Errorf("%d bytes more came", got)
			}
		})
	}
}

// A manager that went away stops nothing.
func TestE2EAServiceManagerThatIsGoneIsAWarning(t *testing.T) {
	s := apphosttest.New(t, plain, map[string]string{"hello": helloWasm, "echo": echoWasm})
	s.Env = append(s.Env, "NOTIFY_SOCKET=/nowhere/notify")
	s.Start()
	if _, ok := s.WaitLog("the service manager cannot be told", nil); !ok {
		t.Errorf("no warning in the log:\n%s", s.Log())
	}
	s.Reload()
}
