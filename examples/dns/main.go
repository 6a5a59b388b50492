// Command dns is a plugin that answers DNS queries over TCP (RFC 1035, section
// 4.2.2) for one zone, which it reads from its configuration. See README.md.
package main

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/apphost/apphost/sdk/tcp"
)

// idleTimeoutDefault is how long a client may keep a connection without a
// query. RFC 7766, section 6.2.3, asks for a few seconds.
const idleTimeoutDefault = 10 * time.Second

// running is what this instance serves. tcp.Init sets it before the
// connection; the server's calls carry no state, so it lives in the package.
var running server

func init() {
	tcp.Init(func() (err error) {
		running, err = configure(tcp.Config)
		return err
	})
	tcp.Handle(func(c net.Conn) error { return running.serve(c) })
}

func main() {} // never called: the server calls the handler

// configure reads the plugin's configuration: origin, zone and idle_timeout.
func configure(config func(key string) (string, bool)) (server, error) {
	s := server{idleTimeout: idleTimeoutDefault, stopping: tcp.Stopping}
	origin, _ := config("origin")
	text, _ := config("zone")
	if origin == "" || text == "" {
		return s, errors.New("config: set origin (such as \"example.org.\") and zone (its records)")
	}
	var err error
	if value, found := config("idle_timeout"); found {
		if s.idleTimeout, err = time.ParseDuration(value); err != nil || s.idleTimeout <= 0 {
			return s, fmt.Errorf("config: idle_timeout: want a time such as \"10s\", got %q", value)
		}
	}
	if s.zone, err = parseZone(origin, text); err != nil {
		return s, fmt.Errorf("config: %w", err)
	}
	return s, nil
}
