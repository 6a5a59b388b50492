package prefork

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
)

func TestAnIdleConnectionIsParkedUntilItsNextRequest(t *testing.T) {
	p := newParkedCrew(t, 2, new(answers))
	client := p.dial(1, true)[0]
	for call := 1; call <= 3; call++ {
		for range 2 {
			if err := exchanged(client, call, "ping"); err != nil {
				t.Fatal(err)
			}
		}
		p.park(1)
		p.serving.Wait() // no goroutine has it
		if ends := p.handler.ended(); len(ends) != call || !errors.Is(ends[call-1], mpm.ErrParked) {
			t.Errorf("its reads ended with %v", ends)
		}
		if s := p.board.Thread(0).State(); s != mpm.StateKeepalive || p.freeThreads() != 1 {
			t.Errorf("its thread is in state %v, and %d are free; want keepalive and one", s, p.freeThreads())
		}
		if call == 3 {
			break
		}
		if next := p.nextTend(p.clock); next >= 0 {
			t.Errorf("a child whose only connection is parked wakes up in %s", next)
		}
		if _, err := io.WriteString(client, "next"); err != nil {
			t.Fatal(err)
		}
		p.arrived()
		if err := p.revive(); err != nil {
			t.Fatal(err)
		}
		if err := wantAnswer(client, call+1, "next"); err != nil {
			t.Fatal(err)
		}
	}
}

// A handler that was called again and does not read is done with the connection.
func TestAConnectionIsNotParkedAgainWithoutARead(t *testing.T) {
	p := newParkedCrew(t, 1, &answers{once: true})
	client := p.dial(1, true)[0]
	p.park(1)
	if _, err := io.WriteString(client, "ping"); err != nil {
		t.Fatal(err)
	}
	p.arrived()
	if err := p.revive(); err != nil {
		t.Fatal(err)
	}
	p.serving.Wait()
	if n := p.parked(); n != 0 {
		t.Fatalf("%d are parked", n)
	}
	if ends := p.handler.ended(); !slices.Equal(ends, []error{mpm.ErrParked, nil}) || p.freeThreads() != 1 {
		t.Errorf("the calls ended with %v, %d threads are free; want ErrParked and nil, and one", ends, p.freeThreads())
	}
	p.wantEnd(client)
}

// The deadline that the handler has set holds while a connection is parked.
func TestAParkedConnectionEndsAtItsDeadline(t *testing.T) {
	const idle = 24 * time.Hour
	p := newParkedCrew(t, 4, &answers{idle: idle})
	clients := p.dial(4, true)
	p.park(4)
	p.mu.Lock()
	var deadlines []time.Time
	for _, c := range p.parking.conns {
		deadlines = append(deadlines, c.readDeadline)
	}
	p.mu.Unlock()
	slices.SortFunc(deadlines, time.Time.Compare)
	for i, d := range deadlines {
		if next := p.nextTend(d.Add(-time.Second)); next != time.Second {
			t.Errorf("a second before deadline %d it wakes up in %s", i, next)
		}
		p.tend(d.Add(-time.Nanosecond))
		if n := p.parked(); n != 4-i {
			t.Errorf("%d are parked before deadline %d", n, i)
		}
		p.tend(d)
		if n := p.parked(); n != 3-i {
			t.Errorf("%d are parked after deadline %d", n, i)
		}
	}
	for _, client := range clients {
		p.wantEnd(client)
	}
	if n := p.handler.calls.Load(); n != 4 || p.freeThreads() != 4 {
		t.Errorf("the handler was called %d times for 4 connections, %d threads are free", n, p.freeThreads())
	}
}

// Told to leave, a child ends the parked connections, but for those whose next
// request is there.
func TestTheEndOfAGenerationEndsParkedConnections(t *testing.T) {
	p := newParkedCrew(t, 3, new(answers))
	clients := p.dial(3, true)
	for _, client := range clients {
		if err := exchanged(client, 1, "ping"); err != nil {
			t.Fatal(err)
		}
	}
	p.park(3)
	if _, err := io.WriteString(clients[1], "late"); err != nil {
		t.Fatal(err)
	}
	p.arrived()
	if err := p.hurry(); err != nil {
		t.Fatal(err)
	}
	if err := wantAnswer(clients[1], 2, "late"); err != nil {
		t.Errorf("what came before the end: %v", err)
	}
	for _, client := range clients {
		p.wantEnd(client)
	}
	p.serving.Wait()
	if n := p.handler.calls.Load(); n != 4 || p.freeThreads() != 3 {
		t.Errorf("the handler was called %d times, want 4; %d threads are free", n, p.freeThreads())
	}
}

// A handler returns to be parked when the child is told to leave.
func TestAConnectionIsNotParkedAtTheEnd(t *testing.T) {
	p := newParkedCrew(t, 1, new(answers))
	client := p.dial(1, true)[0]
	conn := (<-p.handler.conns).(*threadConn)
	p.mu.Lock() // park waits for it
	p.until("the handler has returned", func() bool {
		p.clock = p.clock.Add(2 * p.parking.after)
		conn.rest(p.clock, p.parking.after)
		return len(p.handler.ended()) > 0
	})
	p.hurried.Store(true)
	p.mu.Unlock()
	p.wantEnd(client)
	p.serving.Wait()
	if ends := p.handler.ended(); !slices.Equal(ends, []error{mpm.ErrParked, io.EOF}) {
		t.Errorf("reads ended with %v", ends)
	}
}

// What comes while a read is interrupted is what it returns.
func TestARequestThatComesAsItsConnectionIsParked(t *testing.T) {
	p := newParkedCrew(t, 1, new(answers))
	client := p.dial(1, false)[0]
	raw, peer, err := p.listeners[0].fd.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := &threadConn{crew: p.crew, file: os.NewFile(uintptr(raw), "connection")}
	defer func() { _ = c.file.Close() }()
	c.init(raw, 1, "test", peer, p.board.Thread(0), p.crew.clock)
	c.Keep(true)
	c.SetState(mpm.StateKeepalive)
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	c.rest(p.clock, time.Second)
	if rested, _ := c.rest(p.clock.Add(time.Second), time.Second); !rested {
		t.Fatal("a connection that idles for a second is not to be parked")
	}
	if _, err := io.WriteString(client, "ping"); err != nil {
		t.Fatal(err)
	}
	p.until("it has come", func() bool { return readable(raw) })
	buf := make([]byte, 10)
	if n, err := c.Read(buf); string(buf[:n]) != "ping" || err != nil || c.parks {
		t.Errorf("read %q, %v; parks: %v", buf[:n], err, c.parks)
	}
	c.SetState(mpm.StateReading)
	if _, err := io.WriteString(client, "pong"); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(buf); string(buf[:n]) != "pong" || err != nil {
		t.Errorf("then read %q, %v", buf[:n], err)
	}
}

func TestWhichConnectionsAreParked(t *testing.T) {
	const after = time.Second
	now := time.Now()
	for _, tc := range []struct {
		name     string
		conn     *threadConn
		rests    bool
		mayLater bool
	}{
		{"one that idles for long enough", &threadConn{kept: true, idle: true, tired: now.Add(-after)}, true, true},
		{"one that idles for less", &threadConn{kept: true, idle: true, tired: now.Add(1 - after)}, false, true},
		{"one that was not seen to idle", &threadConn{kept: true, idle: true}, false, true},
		{"one that is served", &threadConn{kept: true}, false, true},
		{"one that is to be parked already", &threadConn{kept: true, idle: true, cut: true, tired: now.Add(-after)}, false, true},
		{"one that cannot be", &threadConn{kept: true, idle: true, stays: true, tired: now.Add(-after)}, false, true},
		{"one whose deadline is near", &threadConn{kept: true, idle: true, tired: now.Add(-after), readDeadline: now.Add(2*after - 1)}, false, true},
		{"one whose deadline is not", &threadConn{kept: true, idle: true, tired: now.Add(-after), readDeadline: now.Add(2 * after)}, true, true},
		{"one whose handler does not know how", &threadConn{idle: true, tired: now.Add(-after)}, false, false},
	} {
		tc.conn.file = os.NewFile(^uintptr(0), "none")
		tc.conn.reads.Store(true)
		if rests, mayLater := tc.conn.rest(now, after); rests != tc.rests || mayLater != tc.mayLater || tc.conn.cut != (rests || strings.Contains(tc.name, "already")) {
			t.Errorf("%s: %v, later %v, cut %v; want %v, later %v", tc.name, rests, mayLater, tc.conn.cut, tc.rests, tc.mayLater)
		}
	}
	closed := &threadConn{kept: true, idle: true, tired: now.Add(-after)}
	closed.retire()
	if rests, _ := closed.rest(now, after); rests {
		t.Error("one that lingers is to be parked")
	}
	if rests, mayLater := new(threadConn).rest(now, after); rests || !mayLater {
		t.Errorf("one whose handler has not begun: %v, later %v; want false, later true", rests, mayLater)
	}
}

// A handler that never lets connections be parked costs no wake-ups.
func TestAChildWhoseConnectionsCannotBeParkedSleeps(t *testing.T) {
	p := newParkedCrew(t, 1, new(answers))
	if next := p.nextTend(p.clock); next >= 0 {
		t.Errorf("without connections it wakes up in %s", next)
	}
	p.crew.handler = greeter("one")
	client := p.dial(1, true)[0]
	if next := p.nextTend(time.Now()); next < 0 || next > p.parking.after {
		t.Errorf("with a new connection it looks in %s", next)
	}
	p.until("its handler reads", p.conns[0].reads.Load)
	p.tend(time.Now().Add(p.parking.after))
	if next := p.nextTend(p.clock); next >= 0 {
		t.Errorf("after it has looked it wakes up in %s", next)
	}
	_ = client.Close()
}

func TestAPeerThatClosesWhileItIsParked(t *testing.T) {
	p := newParkedCrew(t, 2, new(answers))
	clients := p.dial(2, true)
	p.park(2)
	_ = clients[0].Close()
	tcp := clients[1].(*net.TCPConn)
	if err := errors.Join(tcp.SetLinger(0), tcp.Close()); err != nil { // a reset
		t.Fatal(err)
	}
	p.until("both are gone", func() bool { return p.revive() == nil && p.parked() == 0 })
	if n := p.handler.calls.Load(); n != 2 || p.freeThreads() != 2 || p.lingers.Load() != 0 {
		t.Errorf("the handler was called %d times, want 2; %d threads are free, %d connections linger", n, p.freeThreads(), p.lingers.Load())
	}
}

func TestAConnectionIsClosedWhileItIsParked(t *testing.T) {
	p := newParkedCrew(t, 1, new(answers))
	client := p.dial(1, true)[0]
	p.park(1)
	if err := (<-p.handler.conns).Close(); err != nil {
		t.Fatal(err)
	}
	p.arrived()
	if err := p.revive(); err != nil {
		t.Fatal(err)
	}
	p.wantEnd(client)
	if p.parked() != 0 || p.freeThreads() != 1 {
		t.Errorf("%d are parked, %d threads are free", p.parked(), p.freeThreads())
	}
}

// One that the kernel will not watch waits as it did before.
func TestAConnectionThatCannotBeParkedStays(t *testing.T) {
	p := newParkedCrew(t, 1, new(answers))
	client := p.dial(1, true)[0]
	conn := (<-p.handler.conns).(*threadConn)
	if err := p.parking.epoll.Add(conn.fd, false); err != nil { // a second time is a fault
		t.Fatal(err)
	}
	p.until("it was tried", func() bool {
		p.clock = p.clock.Add(2 * p.parking.after)
		p.tend(p.clock)
		conn.mu.Lock()
		defer conn.mu.Unlock()
		return conn.stays
	})
	p.until("it is served again", func() bool { return p.handler.calls.Load() == 2 })
	if err := exchanged(client, 2, "ping"); err != nil {
		t.Error(err)
	}
	if err := p.parking.epoll.Remove(conn.fd); err != nil {
		t.Fatal(err)
	}
	p.park(1) // it has idled anew
}

// Whoever waits for a thread gets that of a parked connection which ends.
func TestAParkedConnectionsThreadIsFreeAtItsEnd(t *testing.T) {
	p := newParkedCrew(t, 1, new(answers))
	p.run()
	for range 3 {
		first, second := p.dial(1, false)[0], p.dial(1, false)[0]
		if err := exchanged(first, 1, "ping"); err != nil {
			t.Fatal(err)
		}
		p.until("it is parked", func() bool { return p.parked() == 1 })
		_ = first.Close()
		if err := exchanged(second, 1, "ping"); err != nil {
			t.Fatalf("the one that waited: %v", err)
		}
		_ = second.Close()
	}
}
