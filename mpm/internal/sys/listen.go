package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
)

// Listen makes a non-blocking TCP socket that listens on addr. Options are set
// before it does: a buffer's size is part of what TCP agrees on at first. No
// other socket has the address, and none gets it until Share.
//
// # Errors
//
// unix.EADDRINUSE, unix.EACCES (a port below 1024 without the right),
// unix.EADDRNOTAVAIL, as bind(2) and listen(2) have them.
func Listen(addr netip.AddrPort, backlog int, o mpm.SocketOptions) (FD, error) {
	return listen(addr, backlog, o, false)
}

// listen makes a socket that has its address alone, or joins others there; see
// Join.
func listen(addr netip.AddrPort, backlog int, o mpm.SocketOptions, join bool) (FD, error) {
	family, sa := sockaddr(addr)
	fd, err := newSocket(family)
	if err != nil {
		return None, err
	}
	first := []option{{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}, {unix.SOL_SOCKET, unix.SO_REUSEPORT, number(join)}}
	free := option{unix.IPPROTO_IP, unix.IP_FREEBIND, number(o.FreeBind)}
	if family == unix.AF_INET6 {
		// "::" also takes IPv4 unless told otherwise; a specific IPv6 address
		// has no use for it.
		v6only := o.V6Only || addr.Addr() != netip.IPv6Unspecified()
		first = append(first, option{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, number(v6only)})
		free.level, free.name = unix.IPPROTO_IPV6, unix.IPV6_FREEBIND
	}
	if o.FreeBind {
		first = append(first, free)
	}
	err = fd.set(first)
	if err == nil {
		err = fd.Tune(o)
	}
	if err == nil {
		err = fd.makePrompt()
	}
	if err == nil {
		err = unix.Bind(int(fd), sa)
	}
	if err == nil && !join {
		err = fd.makeGroup()
	}
	if err == nil {
		err = unix.Listen(int(fd), backlog)
	}
	if err != nil {
		_ = fd.Close()
		return None, err
	}
	return fd, nil
}

// ListenUnix makes a non-blocking Unix socket that listens on a path, where
// nothing may be. At no time may more than mode says connect to it. The file
// gets the group gid, unless that is 0.
//
// # Errors
//
// unix.EADDRINUSE (something is at the path), unix.ENOENT and unix.EACCES for
// its folder, as bind(2) and chmod(2) have them.
func ListenUnix(path string, mode fs.FileMode, gid, backlog int) (FD, error) {
	fd, err := newSocket(unix.AF_UNIX)
	if err != nil {
		return None, err
	}
	// The file gets the mode of the descriptor, less the process's umask,
	// which chmod makes up for.
	err = unix.Fchmod(int(fd), uint32(mode.Perm()))
	if err == nil {
		err = unix.Bind(int(fd), &unix.SockaddrUnix{Name: path})
	}
	if err != nil {
		_ = fd.Close()
		return None, err
	}
	if gid != 0 {
		err = unix.Lchown(path, -1, gid)
	}
	if err == nil {
		err = unix.Chmod(path, uint32(mode.Perm()))
	}
	if err == nil {
		err = unix.Listen(int(fd), backlog)
	}
	if err != nil {
		_ = unix.Unlink(path)
		_ = fd.Close()
		return None, err
	}
	return fd, nil
}

func newSocket(family int) (FD, error) {
	s, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return None, fmt.Errorf("make socket: %w", err)
	}
	return FD(s), nil
}

// Answers reports whether somebody listens on the Unix socket at path.
//
// # Errors
//
// It cannot be told, for lack of a right or of a resource.
func Answers(path string) (bool, error) {
	fd, err := newSocket(unix.AF_UNIX)
	if err != nil {
		return false, err
	}
	defer func() { _ = fd.Close() }()
	switch err := unix.Connect(int(fd), &unix.SockaddrUnix{Name: path}); {
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOENT):
		return false, nil
	case err == nil, errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EPROTOTYPE): // a full queue, or datagrams
		return true, nil
	default:
		return false, fmt.Errorf("connect to see whether somebody answers: %w", err)
	}
}

// FileID tells one file from another that gets the same name later.
type FileID struct{ Dev, Inode uint64 }

// SocketFile is the identity of the socket at path; there is none if
// something else is there, or nothing.
func SocketFile(path string) (id FileID, ok bool) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return FileID{}, false
	}
	return FileID{uint64(st.Dev), st.Ino}, true //nolint:unconvert // Dev is narrower on other systems
}

// option is one for setsockopt(2).
type option struct{ level, name, value int }

func (fd FD) set(options []option) error {
	for _, o := range options {
		if err := unix.SetsockoptInt(int(fd), o.level, o.name, o.value); err != nil {
			return fmt.Errorf("set socket option: %w", err)
		}
	}
	return nil
}

// Tune sets those options that a TCP socket takes at any time; what it accepts
// from then on has them. A size of 0 leaves that as it is.
func (fd FD) Tune(o mpm.SocketOptions) error {
	options := []option{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, number(o.KeepAlive)},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, number(o.NoDelay)},
		{unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, int(o.DeferAccept / time.Second)},
	}
	if o.SendBuffer > 0 {
		options = append(options, option{unix.SOL_SOCKET, unix.SO_SNDBUF, o.SendBuffer})
	}
	if o.ReceiveBuffer > 0 {
		options = append(options, option{unix.SOL_SOCKET, unix.SO_RCVBUF, o.ReceiveBuffer})
	}
	return fd.set(options)
}

func number(on bool) int {
	if on {
		return 1
	}
	return 0
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

// LocalAddr is the address the socket is bound to, a *net.TCPAddr or a
// *net.UnixAddr.
func (fd FD) LocalAddr() (net.Addr, error) {
	sa, err := syscall.Getsockname(int(fd))
	if err != nil {
		return nil, fmt.Errorf("get socket address: %w", err)
	}
	return address(sa), nil
}

// address gives a socket's address the shape that package net gives it: a Unix
// socket without a name, such as a client's, is called "@".
func address(sa syscall.Sockaddr) net.Addr {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)))
	case *syscall.SockaddrInet6:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port)))
	case *syscall.SockaddrUnix:
		name := sa.Name
		if name == "" {
			name = "@"
		}
		return &net.UnixAddr{Name: name, Net: "unix"}
	}
	return &net.TCPAddr{}
}
