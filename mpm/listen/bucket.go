package listen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// A TCP listener can have a socket for each bucket of children instead of one
// for all. The kernel then deals new clients out to the sockets, and a child
// contends for them with those of its own bucket only. A Unix socket, and one
// that a service manager handed over, stays one, which all buckets share.
//
// The number of buckets may change with each generation, and that loses no
// client, whatever net.ipv4.tcp_migrate_req says. Two things would:
//
//   - A socket that gets clients and has no child yet. So the sockets of a
//     generation to come are made before it proves itself (Spread), but get
//     clients only when it serves (Steer); if it never does they are closed,
//     and were always empty.
//   - A socket that is closed while clients wait on it: they are reset. So a
//     socket too many stays when no more clients are steered to it. The
//     children of the new generation watch it beside their own (Surplus),
//     because those of the old one leave at once and may all be busy until
//     then. A handshake that has begun there ends there. When none can be
//     under way and the queue is empty, it is closed (Sweep).
//
// The kernel knows the sockets by the order in which they joined, and moves
// the last one into the place of one that leaves. So they leave from the end
// only, and the place of each is its bucket.
//
// The first socket is bound alone, as the only one of a listener is: a second
// server is found by bind(2), as ever. Only a program of the same user that
// joins on purpose is not, once there are two.
//
// What is lost all the same: a handshake by SYN cookie that is under way in the
// very moment in which the second socket is added, because the kernel has
// noted elsewhere that it gave out cookies.

// handshakeMax is how long a handshake may be under way: by default the kernel
// gives up after 63 s, see tcp_synack_retries in tcp(7).
const handshakeMax = 2 * time.Minute

// bucket is a socket beside the first.
type bucket struct {
	fd    sys.FD
	used  bool      // it has got clients
	since time.Time // a Sweep saw then that it gets no more; zero is none did
}

// FD is the descriptor to hand to the children of a bucket.
func (s *Socket) FD(bucket int) sys.FD {
	if bucket == 0 || len(s.more) == 0 {
		return s.fd
	}
	return s.more[bucket-1].fd
}

// all are the descriptors of all buckets.
func (s *Socket) all() []sys.FD {
	list := []sys.FD{s.fd}
	for _, b := range s.more {
		list = append(list, b.fd)
	}
	return list
}

// Surplus are the sockets that no bucket of a generation with so many owns,
// and that may have clients all the same, as far as this bucket is to serve
// them. Each has one bucket that is.
func (s *Socket) Surplus(bucket, buckets int) []sys.FD {
	var list []sys.FD
	for i, b := range s.more {
		if at := i + 1; at >= buckets && at%buckets == bucket && b.used {
			list = append(list, b.fd)
		}
	}
	return list
}

func (s *Socket) divisible() bool { return !s.passed && !s.isUnix() }

// Spread sees to it that each of the sockets that can be divided has so many
// buckets. Those that are new get no clients until Steer. After an error the
// sockets are as before.
func (t *Table) Spread(sockets []*Socket, listeners []mpm.Listener, buckets int) error {
	for i, s := range sockets {
		if err := s.divide(&listeners[i], buckets); err != nil {
			t.Unspread(sockets)
			return fmt.Errorf("listen on %s with %d sockets: %w", s.Bound, buckets, err)
		}
	}
	return nil
}

func (s *Socket) divide(l *mpm.Listener, buckets int) error {
	bound, ok := s.Bound.(*net.TCPAddr)
	if !ok || !s.divisible() {
		return nil
	}
	s.spread = buckets
	if buckets <= len(s.more)+1 {
		return nil
	}
	addr := netip.AddrPortFrom(bound.AddrPort().Addr().WithZone(s.zone), bound.AddrPort().Port())
	if len(s.more) == 0 {
		if err := s.fd.Steer(1); err != nil {
			return fmt.Errorf("this kernel cannot steer clients; set mpm.listen_cores_buckets_ratio to 0: %w", err)
		}
		if err := s.fd.Share(); err != nil {
			return err
		}
	}
	for len(s.more)+1 < buckets {
		fd, err := sys.Join(addr, l.Backlog, l.Socket)
		if err != nil {
			return explain(err, addr.Port())
		}
		s.more = append(s.more, &bucket{fd: fd})
	}
	return nil
}

// Unspread takes a Spread back that no Steer is to follow.
func (t *Table) Unspread(sockets []*Socket) {
	for _, s := range sockets {
		s.spread = 0
		s.trim(time.Time{})
	}
}

// Steer sends new clients to so many buckets of each socket, which are there
// by Spread, and to no others. On an error it will be tried again by Sweep.
func (t *Table) Steer(sockets []*Socket, buckets int) error {
	var errs []error
	for _, s := range sockets {
		if !s.divisible() {
			continue
		}
		s.want, s.spread = buckets, 0
		if err := s.steer(); err != nil {
			errs = append(errs, fmt.Errorf("use %d sockets of %s: %w", buckets, s.Bound, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Socket) steer() error {
	if s.want == 0 || s.want == max(1, s.live) {
		return nil
	}
	if err := s.fd.Steer(s.want); err != nil {
		return err
	}
	s.live = s.want
	for i, b := range s.more {
		b.since = time.Time{}
		b.used = b.used || i+1 < s.live
	}
	return nil
}

// Sweep closes the sockets that get no clients any more and have none. It is
// to be called now and then.
func (t *Table) Sweep(now time.Time) error {
	var errs []error
	for _, s := range t.sockets {
		errs = append(errs, s.steer())
		s.trim(now)
	}
	return errors.Join(errs...)
}

// trim closes buckets from the end, up to one that is used, or will be, or
// may have clients.
func (s *Socket) trim(now time.Time) {
	needed := max(1, s.live, s.want, s.spread)
	for i, b := range s.more {
		if i+1 >= needed && b.since.IsZero() {
			b.since = now
		}
	}
	for len(s.more)+1 > needed {
		last := s.more[len(s.more)-1]
		if last.used && !s.settled(last, now) {
			return
		}
		_ = last.fd.Shutdown() // in the children that watch it
		_ = last.fd.Close()
		s.more = slices.Delete(s.more, len(s.more)-1, len(s.more))
	}
}

// settled reports whether a bucket that gets no more clients will have none.
func (s *Socket) settled(b *bucket, now time.Time) bool {
	if b.since.IsZero() || now.Sub(b.since) < handshakeMax+s.options.DeferAccept {
		return false
	}
	waiting, err := b.fd.Waiting()
	return err == nil && !waiting
}
