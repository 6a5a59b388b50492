// Package listen owns the master's listening sockets. A socket is bound once
// and kept for as long as any generation listens on it: a reload that keeps
// an address keeps the very same socket, with whatever clients are queued on
// it.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// resolveTimeout bounds looking up the name in an address.
const resolveTimeout = 5 * time.Second

// Socket is one listening socket.
type Socket struct {
	// Name is the listener's, Bound what the kernel made of its address.
	Name  string
	Bound netip.AddrPort

	fd    sys.FD
	key   string
	users int
}

// FD is the socket's descriptor, to hand to a child.
func (s *Socket) FD() sys.FD { return s.fd }

// Table holds all sockets of a master. It is not safe for concurrent use.
type Table struct {
	sockets []*Socket
}

// Acquire returns one socket for each listener, in order: the one that is
// already bound to the address, else a new one. Either all are acquired or
// none, and then the error names every listener that failed and why.
func (t *Table) Acquire(listeners []mpm.Listener) ([]*Socket, error) {
	var got []*Socket
	var errs []error
	for _, l := range listeners {
		s, err := t.acquire(l)
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

func (t *Table) acquire(l mpm.Listener) (*Socket, error) {
	addr, err := netip.ParseAddrPort(l.Address)
	if err != nil {
		return nil, fmt.Errorf("the address is not resolved: %w", err)
	}
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	key := addr.String()
	if addr.Port() == 0 {
		key += " " + l.Name // two of these are two sockets
	}
	for _, s := range t.sockets {
		if s.key == key {
			s.Name = l.Name
			return s, s.fd.SetBacklog(l.Backlog)
		}
	}
	fd, err := sys.Listen(addr, l.Backlog)
	if errors.Is(err, syscall.EAFNOSUPPORT) && addr.Addr() == netip.IPv6Unspecified() {
		// No IPv6 on this machine: every address means every IPv4 address.
		fd, err = sys.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port()), l.Backlog)
	}
	if err != nil {
		return nil, explain(err, addr.Port())
	}
	bound, err := fd.LocalAddr()
	if err != nil {
		_ = fd.Close()
		return nil, err
	}
	s := &Socket{Name: l.Name, Bound: bound, fd: fd, key: key}
	t.sockets = append(t.sockets, s)
	return s, nil
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
		if s.users > 0 {
			kept = append(kept, s)
			continue
		}
		_ = s.fd.Shutdown()
		_ = s.fd.Close()
	}
	clear(t.sockets[len(kept):])
	t.sockets = kept
}

// Resolve turns HOST:PORT into an address. An empty host is every address; of
// a name's addresses the first counts, as the resolver orders them. It may
// take seconds, so it is for a candidate, not for the master.
func Resolve(address string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	number, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if host == "" {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(number)), nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(ips[0].Unmap(), uint16(number)), nil
}

// explain says what an operator can do about a failed bind.
func explain(err error, port uint16) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("another program or listener has it; stop that or choose another address: %w", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("port %d needs root or CAP_NET_BIND_SERVICE; choose a port from 1024 up: %w", port, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("no interface of this machine has that address: %w", err)
	}
	return err
}
