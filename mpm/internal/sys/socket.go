package sys

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Listen makes a non-blocking TCP socket that listens on addr. Accepted
// connections inherit TCP_NODELAY and SO_KEEPALIVE from it.
//
// # Errors
//
// unix.EADDRINUSE, unix.EACCES (a port below 1024 without the right),
// unix.EADDRNOTAVAIL, as bind(2) and listen(2) have them.
func Listen(addr netip.AddrPort, backlog int) (FD, error) {
	family, sa := sockaddr(addr)
	s, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return None, fmt.Errorf("make socket: %w", err)
	}
	fd := FD(s)
	options := [][3]int{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
	}
	if family == unix.AF_INET6 {
		// "::" also takes IPv4; a specific IPv6 address has no use for it.
		v6only := 1
		if addr.Addr() == netip.IPv6Unspecified() {
			v6only = 0
		}
		options = append(options, [3]int{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, v6only})
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(s, o[0], o[1], o[2]); err != nil {
			_ = fd.Close()
			return None, fmt.Errorf("set socket option: %w", err)
		}
	}
	if err := unix.Bind(s, sa); err != nil {
		_ = fd.Close()
		return None, err
	}
	if err := unix.Listen(s, backlog); err != nil {
		_ = fd.Close()
		return None, err
	}
	return fd, nil
}

// SetBacklog changes the length of a listener's accept queue.
func (fd FD) SetBacklog(backlog int) error {
	if err := unix.Listen(int(fd), backlog); err != nil {
		return fmt.Errorf("set backlog: %w", err)
	}
	return nil
}

func sockaddr(addr netip.AddrPort) (int, unix.Sockaddr) {
	if ip := addr.Addr().Unmap(); ip.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: ip.As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	if zone := addr.Addr().Zone(); zone != "" {
		if i, err := net.InterfaceByName(zone); err == nil {
			sa.ZoneId = uint32(i.Index)
		}
	}
	return unix.AF_INET6, sa
}

// LocalAddr is the address the socket is bound to.
func (fd FD) LocalAddr() (netip.AddrPort, error) {
	sa, err := unix.Getsockname(int(fd))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("get socket address: %w", err)
	}
	return addrPort(sa), nil
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// Accept takes one connection off a listener, as a non-blocking socket.
func (fd FD) Accept() (FD, netip.AddrPort, error) {
	for {
		s, sa, err := unix.Accept4(int(fd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return None, netip.AddrPort{}, err
		default:
			return FD(s), addrPort(sa), nil
		}
	}
}

// ShutdownWrite sends the end of the stream; Shutdown also ends a read that
// is under way. See shutdown(2).
func (fd FD) ShutdownWrite() error { return unix.Shutdown(int(fd), unix.SHUT_WR) }

// Shutdown ends both directions without closing the descriptor. A listener
// stops listening, in every process that has it.
func (fd FD) Shutdown() error { return unix.Shutdown(int(fd), unix.SHUT_RDWR) }

// Send writes to a socket once without raising SIGPIPE.
func (fd FD) Send(p []byte) (int, error) {
	for {
		n, err := unix.SendmsgN(int(fd), p, nil, nil, unix.MSG_NOSIGNAL)
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0), err
		}
	}
}

// Interest is what WaitSocket waits for.
type Interest int16

// The interests.
const (
	Readable Interest = unix.POLLIN
	Writable Interest = unix.POLLOUT
)

// Wake says what ended a WaitSocket.
type Wake int

// The outcomes of WaitSocket.
const (
	WakeTimeout Wake = iota // the deadline passed
	WakeSocket              // the socket is ready, or has failed
	WakePipe                // one of the pipes was closed, and the socket is not ready
)

// WaitSocket waits until the socket is ready for what is asked, one of pipes
// is closed by its writers, or the deadline (zero: none) passes. At most two
// pipes are looked at.
func WaitSocket(fd FD, what Interest, deadline time.Time, pipes ...FD) (Wake, error) {
	var fds [3]unix.PollFd
	fds[0] = unix.PollFd{Fd: int32(fd), Events: int16(what)}
	n := 1
	for _, p := range pipes {
		fds[n] = unix.PollFd{Fd: int32(p)}
		n++
	}
	for {
		timeout := -1
		if !deadline.IsZero() {
			timeout = milliseconds(max(0, time.Until(deadline)))
		}
		ready, err := unix.Poll(fds[:n], timeout)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return WakeTimeout, fmt.Errorf("wait for socket: %w", err)
		case ready == 0:
			return WakeTimeout, nil
		case fds[0].Revents != 0:
			return WakeSocket, nil
		default:
			return WakePipe, nil
		}
	}
}
