package conn

import (
	"errors"
	"fmt"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/sdk/abi"
)

// prepareServer runs a program from its beginning until it waits for its first
// connection.
func prepareServer(gs guest.Session, i *guest.Instance) (any, error) {
	s := gs.(*session)
	if s.step != nil {
		s.step(abi.Start)
	}
	err := i.Run(s)
	if f, ok := errors.AsType[*guest.Failure](err); ok && f.Kind == guest.Exited {
		return nil, fmt.Errorf("%s ended with exit code %d before it called %s", abi.Start, f.ExitCode, abi.Accept)
	}
	return nil, err
}

// serveServer lets the program go on, with the session's connection, until it
// waits for the next one.
func serveServer(s *session, i *guest.Instance) (int32, error) { return 0, i.Run(s) }
