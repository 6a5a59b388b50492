package listen

import "errors"

// A server that stops gracefully lets nobody new into the queue of a socket,
// and serves who is there. A socket that a service manager handed over stays
// the manager's, who goes on to listen on it, and so does its queue.

// RefuseNew keeps further clients out of the queue. On TCP they get no answer
// until the socket is closed, see sys.FD.RefuseNew; a Unix socket's file is
// removed.
func (s *Socket) RefuseNew() error {
	switch {
	case s.passed:
		return nil
	case s.isUnix():
		s.unlink()
		return nil
	}
	var errs []error
	for _, fd := range s.all() {
		errs = append(errs, fd.RefuseNew())
	}
	return errors.Join(errs...)
}

// Waiting reports whether somebody is in the queue whom only this server can
// serve.
func (s *Socket) Waiting() (bool, error) {
	if s.passed {
		return false, nil
	}
	for _, fd := range s.all() {
		if waiting, err := fd.Waiting(); waiting || err != nil {
			return waiting, err
		}
	}
	return false, nil
}
