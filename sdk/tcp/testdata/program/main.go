// Command program accepts connections itself. It is run by program_test.go.
package main

import (
	"errors"
	"fmt"
	"log"
	"net"

	"github.com/apphost/apphost/sdk/tcp"
)

func main() {
	accept := tcp.Accept
	_, listen := tcp.Config("listen")
	if listen {
		accept = tcp.Listen().Accept
	}
	var before net.Conn
	for n := 1; ; n++ {
		c, err := accept()
		if err != nil {
			log.Print(err)
			return
		}
		if before != nil {
			_, err := before.Write([]byte("late"))
			log.Printf("the one before is closed: %t", errors.Is(err, net.ErrClosed))
		}
		before = c
		if listen {
			go serve(c, n)
		} else {
			serve(c, n)
		}
	}
}

// serve leaves odd connections open for Accept to close.
func serve(c net.Conn, n int) {
	fmt.Fprintf(c, "%s, you are %d", c.RemoteAddr(), n)
	if _, listen := tcp.Config("listen"); listen || n%2 == 0 {
		_ = c.Close()
	}
}
