package prefork

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// lingerPair is a set that lingers, and a connection whose other end is peer.
func lingerPair(t *testing.T, l *lingering) (fd, peer sys.FD) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	peer = sys.FD(pair[1])
	t.Cleanup(func() { _ = peer.Close() })
	if l.epoll == nil {
		if l.epoll, err = sys.NewEpoll(lingerMax); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			for len(l.conns) > 0 {
				l.drop(0)
			}
			_ = l.epoll.Close()
		})
	}
	return sys.FD(pair[0]), peer
}

// atEnd reports whether the other end has closed.
func atEnd(peer sys.FD) bool {
	n, err := peer.Read(make([]byte, 1))
	return n == 0 && err == nil
}

func TestASilentPeerIsWaitedForFor2Seconds(t *testing.T) {
	var l lingering
	fd, peer := lingerPair(t, &l)
	now := time.Now()
	l.add(fd, now)
	if next := l.next(now); next != 2*time.Second {
		t.Errorf("the next look is in %s, want 2s", next)
	}
	l.expire(now.Add(2*time.Second - time.Millisecond))
	if atEnd(peer) {
		t.Fatal("closed before 2 s")
	}
	l.expire(now.Add(2 * time.Second))
	if !atEnd(peer) || len(l.conns) > 0 {
		t.Error("not closed after 2 s")
	}
}

func TestATalkingPeerIsListenedToFor30Seconds(t *testing.T) {
	var l lingering
	fd, peer := lingerPair(t, &l)
	begun := time.Now().Add(-29 * time.Second)
	l.add(fd, begun)
	if _, err := peer.Write([]byte("more")); err != nil {
		t.Fatal(err)
	}
	l.drain(fd)
	if next := l.next(time.Now()); next < 0 || next > time.Second {
		t.Errorf("the next look is in %s, want one when the 30 s are over", next)
	}
	l.expire(begun.Add(30*time.Second - time.Millisecond))
	if atEnd(peer) {
		t.Fatal("closed before 30 s")
	}
	l.expire(begun.Add(30 * time.Second))
	if !atEnd(peer) {
		t.Error("not closed after 30 s")
	}
}

func TestAtMost64ConnectionsLinger(t *testing.T) {
	var l lingering
	for i := range lingerMax + 1 {
		fd, peer := lingerPair(t, &l)
		l.add(fd, time.Now())
		if closed := atEnd(peer); closed != (i == lingerMax) {
			t.Fatalf("connection %d: closed at once: %v", i, closed)
		}
	}
}

// A peer that does not close keeps no child: the only one there is serves the
// next connection meanwhile.
func TestAPeerThatDoesNotCloseKeepsNoChild(t *testing.T) {
	s := startServer(t, func(c *testConfig) {
		c.Greeting = "lecture"
		c.Options.StartServers, c.Options.MinSpareServers, c.Options.MaxSpareServers, c.Options.MaxRequestWorkers = 1, 1, 2, 1
	})
	begun := time.Now()
	for range 20 {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:gocritic // each is held until the end of the test
		_ = conn.SetDeadline(begun.Add(20 * time.Second))
		if got, err := io.Copy(io.Discard, conn); err != nil || got != lectureBytes {
			t.Fatalf("received %d bytes, %v; want %d", got, err, lectureBytes)
		}
	}
	if took := time.Since(begun); took > 20*lingerIdle/2 {
		t.Errorf("20 connections took %s: they waited for one another", took)
	}
}

// A peer that is done, by its own word, is not waited for.
func TestAPeerThatIsDoneIsNotWaitedFor(t *testing.T) {
	conn, client := connPair(t)
	conn.PeerDone()
	conn.child.finish(conn)
	conn.fd = sys.None // it is closed
	if n := len(conn.child.linger.conns); n != 0 {
		t.Errorf("%d connections linger", n)
	}
	if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the peer reads %d bytes, %v", n, err)
	}
}
