// Command guest does what the client's first message says. It is run as a
// plugin by guest_test.go.
package main

import (
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/apphost/apphost/sdk/tcp"
)

func init() {
	tcp.Handle(serve)
	tcp.Init(func() error {
		if _, unusable := tcp.Config("unusable"); unusable {
			return errors.New("told to be unusable")
		}
		return nil
	})
}

func main() {}

func serve(c net.Conn) error {
	buf := make([]byte, 64)
	n, err := c.Read(buf)
	if err != nil {
		return fmt.Errorf("read what to do: %w", err)
	}
	switch string(buf[:n]) {
	case "echo":
		_, err = c.Write(buf[:n])
		return err
	case "deadline":
		if err := c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
			return err
		}
		_, err = c.Read(buf)
		return err
	case "errors":
		for range 2 {
			_, err = c.Read(buf)
			log.Printf("reset %t, timeout %t: %v",
				errors.Is(err, syscall.ECONNRESET), errors.Is(err, os.ErrDeadlineExceeded), err)
		}
		_, err = c.Read(buf)
		return err
	case "log":
		slog.Warn("careful", "n", 3)
		greeting, found := tcp.Config("greeting")
		slog.Info("facts", "greeting", len(greeting), "found", found, "peer", c.RemoteAddr(), "info", tcp.Info())
	case "room":
		grown := heapGrowth(func() (held []any) {
			for _, size := range []int{24, 208, 512, 4096} {
				held = append(held, make([]byte, size), make([]*byte, size/8))
			}
			return held
		})
		slog.Info("heap", "grown", grown)
	case "panic":
		var m map[string]int
		m["x"] = 1
	}
	return nil
}

// heapGrowth is by how many bytes the heap grows to hold what is made.
func heapGrowth(made func() []any) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	held := made()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(held)
	return after.HeapInuse - before.HeapInuse
}
