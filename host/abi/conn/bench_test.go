package conn

import (
	"io"
	"log/slog"
	"net"
	"testing"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/internal/hosttest"
)

// once is a connection on which a client says one thing and closes its side.
type once struct {
	*hosttest.Conn
	says string
}

func (c *once) Read(p []byte) (int, error) {
	n := copy(p, c.says)
	c.says = c.says[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (c *once) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkServeConn is a short connection without the cost of sockets: to a handler
// that exports process_connection, and to a program that accepts it in a loop, each
// with a fresh image for every connection, and kept.
func BenchmarkServeConn(b *testing.B) {
	for _, guestName := range []string{"probe", "server"} {
		for kind, isolation := range map[string]guest.Isolation{"fresh": guest.Fresh, "kept": guest.Kept} {
			b.Run(guestName+"/"+kind, func(b *testing.B) {
				p := newPlugin(b, guestName, Settings{Isolation: isolation, Logger: slog.New(slog.DiscardHandler)})
				b.Cleanup(func() { _ = p.Close() })
				server, client := net.Pipe()
				b.Cleanup(func() { _, _ = server.Close(), client.Close() })
				conn := &once{Conn: &hosttest.Conn{Conn: server, Name: "bench"}}
				b.ReportAllocs()
				for b.Loop() {
					conn.says = "ehello"
					p.ServeConn(b.Context(), conn, Timeouts{}, name("g7-s3-42"))
				}
			})
		}
	}
}
