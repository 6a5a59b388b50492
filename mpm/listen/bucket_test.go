package listen

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// divided is a table with one socket on 127.0.0.1 that serves with so many
// buckets.
func divided(t *testing.T, buckets int) (*Table, *Socket, []mpm.Listener) {
	t.Helper()
	table, listeners := new(Table), []mpm.Listener{{Name: "a", Address: "127.0.0.1:0", Backlog: 256}}
	sockets := acquire(t, table, listeners...)
	t.Cleanup(func() { table.Release(sockets) })
	change(t, table, sockets[0], listeners, buckets)
	return table, sockets[0], listeners
}

// change is a reload to so many buckets that is done.
func change(t *testing.T, table *Table, s *Socket, listeners []mpm.Listener, buckets int) {
	t.Helper()
	if err := table.Spread([]*Socket{s}, listeners, buckets); err != nil {
		t.Fatal(err)
	}
	if err := table.Steer([]*Socket{s}, buckets); err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, s *Socket, n int) {
	t.Helper()
	for range n {
		conn, err := net.Dial("tcp", s.Bound.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
}

// queues are how many clients wait in each bucket, which are accepted.
func queues(t *testing.T, s *Socket) []int {
	t.Helper()
	var list []int
	for _, l := range s.all() {
		n := 0
		for {
			fd, _, err := l.Accept()
			if errors.Is(err, syscall.EAGAIN) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			_ = fd.Close()
			n++
		}
		list = append(list, n)
	}
	return list
}

// New buckets get clients when the generation serves that has children for
// them, and a generation that never does leaves none behind.
func TestABucketGetsClientsOnlyWhenItsGenerationServes(t *testing.T) {
	for _, from := range []int{1, 2} {
		table, s, listeners := divided(t, from)
		before := s.FD(0)
		if err := table.Spread([]*Socket{s}, listeners, 4); err != nil {
			t.Fatal(err)
		}
		connect(t, s, 60)
		got := queues(t, s)
		for b, n := range got {
			if (n > 0) != (b < from) {
				t.Errorf("from %d buckets, while 4 prove themselves the clients are in %v", from, got)
			}
		}
		table.Unspread([]*Socket{s})
		if len(s.all()) != from {
			t.Errorf("%d sockets are left of a generation that failed, %d served before", len(s.all()), from)
		}
		change(t, table, s, listeners, 4)
		connect(t, s, 100)
		for b, n := range queues(t, s) {
			if n == 0 {
				t.Errorf("from %d buckets, bucket %d of 4 gets no clients", from, b)
			}
		}
		if s.FD(0) != before {
			t.Error("the first socket is another one now")
		}
	}
}

// A bucket too many gets no more clients, keeps those it has, has one bucket
// that serves them, and is closed when it is sure to stay empty.
func TestABucketTooManyIsEmptiedThenClosed(t *testing.T) {
	table, s, listeners := divided(t, 4)
	connect(t, s, 100)
	change(t, table, s, listeners, 2)
	if n := len(s.Surplus(0, 2)) + len(s.Surplus(1, 2)); n != 2 || s.Surplus(0, 2)[0] != s.FD(2) || s.Surplus(1, 2)[0] != s.FD(3) {
		t.Errorf("%d sockets are to be emptied", n)
	}
	sweep := func(at time.Time, want int) {
		t.Helper()
		if err := table.Sweep(at); err != nil {
			t.Error(err)
		}
		if len(s.all()) != want {
			t.Fatalf("%d sockets after a sweep, want %d", len(s.all()), want)
		}
	}
	now := time.Now()
	sweep(now, 4)
	sweep(now.Add(time.Hour), 4) // somebody waits
	got := queues(t, s)
	if got[2] == 0 || got[3] == 0 {
		t.Errorf("the clients of the buckets too many are gone: %v", got)
	}
	connect(t, s, 100)
	if got := queues(t, s); got[0] == 0 || got[1] == 0 || got[2] > 0 || got[3] > 0 {
		t.Errorf("new clients are in %v", got)
	}
	sweep(now.Add(handshakeMax-1), 4) // a handshake may be under way
	sweep(now.Add(handshakeMax), 2)
	if len(s.Surplus(0, 2)) > 0 {
		t.Error("a closed socket is to be emptied")
	}
	change(t, table, s, listeners, 1)
	sweep(now, 2)
	sweep(now.Add(handshakeMax), 1)
	connect(t, s, 10)
	if got := queues(t, s); got[0] != 10 {
		t.Errorf("with one socket left the clients are in %v", got)
	}
}

// A bucket that is still emptied when it is wanted again stays as it is, also
// while the generation that wants it proves itself.
func TestABucketThatIsWantedAgainStays(t *testing.T) {
	table, s, listeners := divided(t, 3)
	change(t, table, s, listeners, 1)
	now, last := time.Now(), s.FD(2)
	if err := errors.Join(table.Sweep(now), table.Spread([]*Socket{s}, listeners, 3), table.Sweep(now.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	if err := table.Steer([]*Socket{s}, 3); err != nil {
		t.Fatal(err)
	}
	if s.FD(2) != last {
		t.Error("the bucket got a new socket")
	}
	connect(t, s, 60)
	if got := queues(t, s); got[0] == 0 || got[1] == 0 || got[2] == 0 {
		t.Errorf("the clients are in %v", got)
	}
}

// A server that is started twice finds out, with buckets too.
func TestASecondServerIsFoundInSpiteOfBuckets(t *testing.T) {
	_, s, _ := divided(t, 2)
	var other Table
	sockets, err := other.Acquire([]mpm.Listener{listener("a", s.Bound.String())})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), s.Bound.String()) {
		t.Errorf("a second server got %v, %v", sockets, err)
	}
}

// A socket that was not prepared stands for a kernel that cannot: that is an
// error, which says what to do, and the socket serves on.
func TestWithoutSteeringThereAreNoBuckets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var table Table
	s := &Socket{fd: sys.FD(file.Fd()), Bound: l.Addr()}
	err = table.Spread([]*Socket{s}, []mpm.Listener{listener("a", l.Addr().String())}, 2)
	if err == nil || !strings.Contains(err.Error(), "listen_cores_buckets_ratio") {
		t.Errorf("two buckets: %v", err)
	}
	if err := table.Steer([]*Socket{s}, 1); err != nil || len(s.all()) != 1 {
		t.Errorf("one bucket: %v, %d sockets", err, len(s.all()))
	}
}

func TestAUnixSocketHasOneForAllBuckets(t *testing.T) {
	var table Table
	listeners := []mpm.Listener{unixListener(filepath.Join(t.TempDir(), "s"), 0o600)}
	sockets := acquire(t, &table, listeners...)
	defer table.Release(sockets)
	change(t, &table, sockets[0], listeners, 3)
	if sockets[0].FD(2) != sockets[0].FD(0) || len(sockets[0].Surplus(0, 1)) > 0 {
		t.Error("a Unix socket has buckets")
	}
	if err := table.Sweep(time.Now()); err != nil {
		t.Error(err)
	}
}

// A graceful stop keeps clients out of every bucket, and waits for those in any.
func TestAStopLooksIntoEveryBucket(t *testing.T) {
	_, s, _ := divided(t, 3)
	connect(t, s, 60)
	if err := s.RefuseNew(); err != nil {
		t.Fatal(err)
	}
	for range 10 { // the kernel chooses the bucket
		if conn, err := net.DialTimeout("tcp", s.Bound.String(), 10*time.Millisecond); err == nil {
			_ = conn.Close()
			t.Fatal("a bucket takes a client after the end")
		}
	}
	last := s.more[1]
	s.more = s.more[:1]
	queues(t, s) // all but the last
	s.more = append(s.more, last)
	if waiting, err := s.Waiting(); !waiting || err != nil {
		t.Errorf("clients wait in the last bucket: %v, %v", waiting, err)
	}
	queues(t, s)
	if waiting, err := s.Waiting(); waiting || err != nil {
		t.Errorf("nobody waits any more: %v, %v", waiting, err)
	}
}
