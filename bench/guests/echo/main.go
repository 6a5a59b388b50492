// Command echo is the echo of examples/echo written in Go, for the benchmark of
// what a fresh instance of a large guest costs each connection.
package main

import (
	"io"
	"net"

	"github.com/apphost/apphost/sdk/tcp"
)

func init() { tcp.Handle(echo) }

func echo(c net.Conn) error {
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if _, werr := c.Write(buf[:n]); werr != nil {
			return nil //nolint:nilerr // the client has gone, as it may
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func main() {} // never called: the server calls the handler
