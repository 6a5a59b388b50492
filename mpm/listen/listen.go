// Package listen owns the master's listening sockets. A socket is bound once
// and kept for as long as any generation listens on it: a reload that keeps
// an address keeps the very same socket, with whatever clients are queued on
// it.
package listen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// Socket is one listening socket.
type Socket struct {
	// Name is the listener's, Bound what the kernel made of its address: a
	// *net.TCPAddr or *net.UnixAddr.
	Name  string
	Bound net.Addr

	fd      sys.FD
	more    []*bucket // further sockets on the same address
	live    int       // how many sockets get new clients; 0 is 1
	want    int       // how many should; 0 is live
	spread  int       // for how many a generation to come was prepared
	key     string
	zone    string            // of an IPv6 address that is only good on one link
	options mpm.SocketOptions // of a TCP socket, as they are
	file    sys.FileID        // of a Unix socket that was bound here
	users   int

	passed     bool   // by a service manager, whose it stays
	passedName string // what the manager calls it; not unique
}

// Table holds all sockets of a master. It is not safe for concurrent use.
type Table struct {
	sockets []*Socket
}

// Acquire returns one socket for each listener, in order: the one that was
// passed for it or is already bound to its address, which stays as it is until Apply, else a new
// one. Either all are acquired or none, and then the error names every
// listener that failed and why.
func (t *Table) Acquire(listeners []mpm.Listener) ([]*Socket, error) {
	claimed, err := t.claim(listeners)
	if err != nil {
		return nil, err
	}
	var got []*Socket
	var errs []error
	for i, l := range listeners {
		s, err := t.acquire(l, claimed[i])
		if err != nil {
			errs = append(errs, fmt.Errorf("listen on %s: %w", l.Address, err))
			continue
		}
		s.users++
		got = append(got, s)
	}
	if len(errs) > 0 {
		t.Release(got)
		return nil, errors.Join(errs...)
	}
	return got, nil
}

func (t *Table) acquire(l mpm.Listener, passed *Socket) (*Socket, error) {
	key, addr, err := keyOf(&l)
	if err != nil {
		return nil, err
	}
	stays := passed
	for _, s := range t.sockets {
		if s.key == key && s.reachable() {
			stays = s
		}
	}
	if stays != nil {
		if err := stays.mayChange(l.Socket); err != nil {
			return nil, err
		}
		return stays, nil
	}
	s := &Socket{Name: l.Name, key: key, zone: addr.Addr().Zone(), options: l.Socket}
	if path, ok := l.UnixPath(); ok {
		s.fd, s.file, err = bindUnix(path, &l)
	} else {
		s.fd, err = bindTCP(addr, &l)
	}
	if err != nil {
		return nil, err
	}
	if s.Bound, err = s.fd.LocalAddr(); err != nil {
		_ = s.fd.Close()
		return nil, err
	}
	t.sockets = append(t.sockets, s)
	return s, nil
}

// keyOf is what two listeners that mean the same socket have in common.
func keyOf(l *mpm.Listener) (key string, addr netip.AddrPort, err error) {
	if _, ok := l.UnixPath(); ok {
		return l.Address, addr, nil
	}
	if addr, err = netip.ParseAddrPort(l.Address); err != nil {
		return "", addr, fmt.Errorf("the address is not resolved: %w", err)
	}
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	key = addr.String()
	if addr.Port() == 0 {
		key += " " + l.Name // two of these are two sockets
	}
	return key, addr, nil
}

func bindTCP(addr netip.AddrPort, l *mpm.Listener) (sys.FD, error) {
	fd, err := sys.Listen(addr, l.Backlog, l.Socket)
	if errors.Is(err, syscall.EAFNOSUPPORT) && addr.Addr() == netip.IPv6Unspecified() && !l.Socket.V6Only {
		// No IPv6 on this machine: every address means every IPv4 address.
		fd, err = sys.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port()), l.Backlog, l.Socket)
	}
	if err != nil {
		return sys.None, explain(err, addr.Port())
	}
	return fd, nil
}

// Apply lets sockets that Acquire returned for these listeners take over what
// may have changed since they were bound. It is for when the listeners serve,
// so that what does not get there changes nothing.
func (t *Table) Apply(sockets []*Socket, listeners []mpm.Listener) error {
	var errs []error
	for i, s := range sockets {
		if err := s.apply(&listeners[i]); err != nil {
			errs = append(errs, fmt.Errorf("change the socket of %s: %w", listeners[i].Address, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Socket) apply(l *mpm.Listener) error {
	s.Name = l.Name
	for _, fd := range s.all() {
		if err := fd.SetBacklog(l.Backlog); err != nil {
			return err
		}
	}
	if s.isUnix() {
		return s.chmod(l.Mode) // which does nothing to a passed one: its file is not ours
	}
	s.options = l.Socket
	for _, fd := range s.all() {
		if err := fd.Tune(l.Socket); err != nil {
			return err
		}
	}
	return nil
}

// mayChange refuses options that a socket cannot take over. FreeBind is none of
// them: to a socket that has its address it means nothing.
func (s *Socket) mayChange(to mpm.SocketOptions) error {
	var errs []error
	refuse := func(key string) {
		errs = append(errs, fmt.Errorf("%s cannot change like this on a socket that stays; stop and start the server, or reload without the listener first", key))
	}
	if addr, ok := s.Bound.(*net.TCPAddr); ok && !s.passed && addr.AddrPort().Addr() == netip.IPv6Unspecified() && to.V6Only != s.options.V6Only {
		refuse("v6only")
	}
	// The kernel does not size a buffer by itself again.
	if to.SendBuffer == 0 && s.options.SendBuffer > 0 {
		refuse(`send_buffer = "0"`)
	}
	if to.ReceiveBuffer == 0 && s.options.ReceiveBuffer > 0 {
		refuse(`receive_buffer = "0"`)
	}
	return errors.Join(errs...)
}

// Release gives back what Acquire returned. A socket without users is closed,
// in the children that inherited it too: they will not accept from it, and a
// client that waits in vain is worse off than one that is refused.
func (t *Table) Release(sockets []*Socket) {
	for _, s := range sockets {
		s.users--
		if s.users < 0 {
			panic("BUG: socket " + s.key + " was released twice")
		}
	}
	kept := t.sockets[:0]
	for _, s := range t.sockets {
		if s.users > 0 || s.passed {
			kept = append(kept, s)
			continue
		}
		s.unlink()
		for _, fd := range s.all() {
			_ = fd.Shutdown()
			_ = fd.Close()
		}
	}
	clear(t.sockets[len(kept):])
	t.sockets = kept
}

// explain says what an operator can do about a failed bind.
func explain(err error, port uint16) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("another program or listener has it, or a child that outlived a killed server ('apphost: child' in ps); stop that or choose another address: %w", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("port %d needs root or CAP_NET_BIND_SERVICE; choose a port from 1024 up: %w", port, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("no interface of this machine has that address: %w", err)
	}
	return err
}
