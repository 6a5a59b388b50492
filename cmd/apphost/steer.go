package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/apphost/apphost/cmd/apphost/internal/control"
)

// orders are what -k takes, as httpd's does. Each is another name for a command,
// but for what becomes of it when no server runs.
var orders = [...]string{"start", "stop", "graceful", "graceful-stop", "restart"}

// steer does what -k asks for and waits for the result.
func steer(order, configPath string, stdout, stderr io.Writer) error {
	var err error
	switch order {
	case "start":
		return start(configPath, stdout, stderr)
	case "stop":
		err = stop(configPath, false, stdout)
	case "graceful-stop":
		err = stop(configPath, true, stdout)
	case "graceful":
		err = reload(configPath, control.Reload, stdout)
	case "restart":
		err = reload(configPath, control.Restart, stdout)
	default:
		return usageError{fmt.Errorf("-k takes one of %s, got %q", strings.Join(orders[:], ", "), order)}
	}
	if !errors.Is(err, control.ErrNotRunning) {
		return err
	}
	switch order {
	case "graceful", "restart":
		if _, err := fmt.Fprintln(stdout, "not running; starting it"); err != nil {
			return err
		}
		return start(configPath, stdout, stderr)
	}
	_, err = fmt.Fprintln(stdout, "not running")
	return err
}
