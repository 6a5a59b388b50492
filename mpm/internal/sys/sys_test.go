package sys

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm"
)

func pipe(t *testing.T) (r, w FD) {
	t.Helper()
	r, w, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r, w
}

func TestClosedSeesTheLastWriterGo(t *testing.T) {
	r, w := pipe(t)
	if Closed(r) {
		t.Error("closed while a writer is there")
	}
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if Closed(r) {
		t.Error("closed because there is something to read")
	}
	_ = w.Close()
	if !Closed(r) {
		t.Error("not closed after the last writer has gone")
	}
}

// Two epoll sets watch one listener exclusively: a connection wakes one of
// them, and one that does not wait is never chosen.
func TestAnExclusiveWatchWakesOne(t *testing.T) {
	l, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), 8, mpm.SocketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	threads, woken := make(chan int, 2), make(chan int, 2)
	enough := make(chan struct{})
	stopR, stopW := pipe(t)
	for i := range 2 {
		e, err := NewEpoll(2)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Add(l, true); err != nil {
			t.Fatal(err)
		}
		if err := e.Add(stopR, false); err != nil {
			t.Fatal(err)
		}
		go func() {
			defer func() { woken <- -1 }()
			defer e.Close()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			threads <- unix.Gettid()
			events, err := e.Wait(nil, 20*time.Second)
			if err != nil || len(events) == 0 {
				t.Errorf("wait: %v, %v", events, err)
				return
			}
			for _, ev := range events {
				if ev.FD == l && ev.Readable {
					woken <- i
					<-enough // as a child that serves
				}
			}
		}()
	}
	awaitEpoll(t, <-threads)
	awaitEpoll(t, <-threads)
	local, err := l.LocalAddr()
	if err != nil {
		t.Fatal(err)
	}
	addr := local.(*net.TCPAddr).AddrPort()
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(c)
	if err := unix.Connect(c, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		t.Fatal(err)
	}
	first := <-woken
	if first < 0 {
		t.Fatal("nobody was woken")
	}
	fd, _, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	_ = stopW.Close()
	close(enough)
	for ended := 0; ended < 2; {
		if i := <-woken; i == -1 {
			ended++
		} else {
			t.Errorf("watcher %d was woken by a connection that %d took", i, first)
		}
	}
}

// awaitEpoll waits until a thread is inside epoll_wait(2).
func awaitEpoll(t *testing.T, thread int) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/syscall", thread))
		if err != nil {
			t.Skipf("the kernel does not show system calls: %v", err)
		}
		number, _, _ := strings.Cut(string(raw), " ")
		switch number {
		case "232", "281", "22": // epoll_wait and epoll_pwait on amd64, epoll_pwait on arm64
			return
		}
		select {
		case <-deadline:
			t.Fatalf("thread %d does not wait: %s", thread, raw)
		case <-tick.C:
		}
	}
}

func TestWaitSocketTellsWhatWokeIt(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	here, there := FD(pair[0]), FD(pair[1])
	defer here.Close()
	defer there.Close()
	r, w := pipe(t)

	if wake, err := WaitSocket(here, Readable, time.Now().Add(time.Millisecond), r); err != nil || wake != WakeTimeout {
		t.Errorf("nothing happens: %v, %v", wake, err)
	}
	_ = w.Close()
	if wake, err := WaitSocket(here, Readable, time.Time{}, r); err != nil || wake != WakePipe {
		t.Errorf("the pipe is closed: %v, %v", wake, err)
	}
	if _, err := there.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if wake, err := WaitSocket(here, Readable, time.Time{}, r); err != nil || wake != WakeSocket {
		t.Errorf("something to read comes before the closed pipe: %v, %v", wake, err)
	}
}

func TestAWriteToAClosedPeerIsAnErrorAndNoSignal(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	_ = unix.Close(pair[1])
	if _, err := FD(pair[0]).Write([]byte("x")); !errors.Is(err, unix.EPIPE) {
		t.Errorf("write: %v, want EPIPE", err)
	}
}

func TestAPeekTakesNothingAndNeverWaits(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd, peer := FD(pair[0]), FD(pair[1])
	defer func() { _ = fd.Close() }()
	if n, err := fd.Peek(); n != 0 || !errors.Is(err, unix.EAGAIN) {
		t.Errorf("of nothing: %d, %v", n, err)
	}
	if _, err := peer.Write([]byte("ab")); err != nil {
		t.Fatal(err)
	}
	_ = peer.Close()
	for range 2 {
		if n, err := fd.Peek(); n != 1 || err != nil {
			t.Errorf("of two bytes: %d, %v", n, err)
		}
	}
	if n, err := fd.Read(make([]byte, 3)); n != 2 || err != nil {
		t.Errorf("then a read has %d, %v", n, err)
	}
	if n, err := fd.Peek(); n != 0 || err != nil {
		t.Errorf("of the end: %d, %v", n, err)
	}
}

func TestAWaitIsNeverCutShort(t *testing.T) {
	for d, want := range map[time.Duration]int{-1: -1, 0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2} {
		if got := milliseconds(d); got != want {
			t.Errorf("milliseconds(%d) = %d, want %d", d, got, want)
		}
	}
}

func TestAClockTellsTheTimeOfTheSystem(t *testing.T) {
	c := NewClock()
	for range 100 {
		before := Monotonic()
		now := c.Now()
		if after := Monotonic(); now < before-time.Millisecond || now > after+time.Millisecond {
			t.Fatalf("it is %s, and the clock says %s", after, now)
		}
	}
}

func TestReadyThreadsStay(t *testing.T) {
	const n = 40 // more than the tests have
	ReadyThreads(n)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Skipf("threads cannot be counted: %v", err)
	}
	if len(threads) < n {
		t.Errorf("%d threads, want %d or more", len(threads), n)
	}
}
