package hosttest

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/apphost/apphost/mpm"
)

// Serve hands the connections to a loopback port to serve, each on a goroutine
// of its own, until the test is over. It returns the port's address.
func Serve(t testing.TB, serve func(ctx context.Context, c mpm.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	var all sync.WaitGroup
	all.Go(func() {
		for number := uint64(1); ; number++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			all.Go(func() {
				serve(ctx, &Conn{Conn: c, Number: number, Name: "test"})
				mu.Lock()
				delete(open, c)
				mu.Unlock()
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		stop()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return l.Addr().String()
}
