// Package sdnotify tells a service manager how the server is doing; see
// sd_notify(3). It decides nothing: when to say what is the caller's.
package sdnotify

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// patience bounds a message to a manager that does not read.
const patience = time.Second

// statusBytes bounds a status line.
const statusBytes = 500

// Notifier speaks to one service manager. The zero value speaks to nobody.
type Notifier struct {
	path string // of the manager's socket, "@" for the zero byte
}

// New returns a Notifier for the value of NOTIFY_SOCKET; an empty one means
// that nobody wants to know.
func New(notifySocket string) *Notifier { return &Notifier{path: notifySocket} }

// Ready says that the server serves: first, and after each Reloading.
func (n *Notifier) Ready(status string) error {
	return n.send("READY=1", "STATUS="+line(status))
}

// Reloading says that a reload has begun at a time on the system's monotonic
// clock.
func (n *Notifier) Reloading(at time.Duration) error {
	return n.send("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", at.Microseconds()), "STATUS=reloading")
}

// Status says how the server is, in one line.
func (n *Notifier) Status(status string) error { return n.send("STATUS=" + line(status)) }

// Stopping says that the server is about to end, and how long that may take
// from now; 0 leaves that to the manager's own limit.
func (n *Notifier) Stopping(within time.Duration) error {
	if within == 0 {
		return n.send("STOPPING=1", "STATUS=stopping")
	}
	return n.send("STOPPING=1", fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", within.Microseconds()), "STATUS=stopping")
}

// line makes text one line of moderate length.
func line(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > statusBytes {
		text = strings.ToValidUTF8(text[:statusBytes], "") + "…"
	}
	return text
}

// send sends assignments as one message.
func (n *Notifier) send(assignments ...string) error {
	if n.path == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte(strings.Join(assignments, "\n") + "\n")); err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	return nil
}
