package listen

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/apphost/apphost/mpm"
)

// resolveTimeout bounds looking up the name in an address.
const resolveTimeout = 5 * time.Second

// Resolve replaces the names in a listener's address by numbers. It may take
// seconds, so it is for a candidate, not for the master.
func Resolve(l *mpm.Listener) error {
	if _, ok := l.UnixPath(); ok {
		return nil
	}
	addr, err := resolve(l.Address)
	if err != nil {
		return err
	}
	if l.Socket.V6Only && !addr.Addr().Is6() {
		return fmt.Errorf("v6only goes with an IPv6 address only, and this is %s", addr.Addr())
	}
	l.Address = addr.String()
	return nil
}

// resolve turns HOST:PORT into an address. An empty host is every address; of
// a name's addresses the first counts, as the resolver orders them.
func resolve(address string) (netip.AddrPort, error) {
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
