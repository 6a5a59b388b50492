package sys

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
)

// TCP sockets that listen on one address form a group, in the order in which
// they joined it; see SO_REUSEPORT in socket(7). For each client that connects
// the kernel chooses one of them, and the handshake, its repetitions and the
// connection then stay with that one.

// Join makes a socket like Listen, on an address that another socket of this
// process has, for which Share was called. The socket becomes the last of the
// group, and gets clients at once unless Steer keeps them from it.
//
// # Errors
//
// unix.EADDRINUSE: somebody has the address who does not share it, or who is
// another user.
func Join(addr netip.AddrPort, backlog int, o mpm.SocketOptions) (FD, error) {
	return listen(addr, backlog, o, true)
}

// Share lets further sockets of this user listen on the address.
func (fd FD) Share() error { return fd.share(true) }

func (fd FD) share(on bool) error {
	return fd.set([]option{{unix.SOL_SOCKET, unix.SO_REUSEPORT, number(on)}})
}

// makeGroup makes a socket that does not listen yet a group of one, so that
// Steer can prepare it for a second; the kernel makes no group for a socket
// that listens and does not share. The address is shared for this moment
// only, and not while the kernel looks who else has it, in bind(2) and
// listen(2). Without what Steer needs there is no group.
func (fd FD) makeGroup() error {
	if err := fd.Share(); err != nil {
		return err
	}
	_ = fd.Steer(1)
	return fd.share(false)
}

// Steer sends new clients of the group that the socket is in to the first n of
// its sockets, each in the same measure. What the others have in their queues
// stays there, and a handshake that is under way completes where it began.
// Before the first Join it is called with 1, so that the second socket gets
// nobody until it is called with 2.
func (fd FD) Steer(n int) error {
	const random = 0xfffff000 + 56 // SKF_AD_OFF + SKF_AD_RANDOM in linux/filter.h
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: random},
		{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: uint32(n)},
		{Code: unix.BPF_RET | unix.BPF_A},
	}
	err := unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if err != nil {
		return fmt.Errorf("choose the sockets for new connections: %w", err)
	}
	return nil
}
