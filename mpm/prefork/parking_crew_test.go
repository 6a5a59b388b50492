package prefork

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// answers sends back what it reads, in capitals and behind the number of the call of
// ServeConn. It lets the model park connections.
type answers struct {
	idle  time.Duration // its read deadline; 0 is none
	once  bool          // a second call of ServeConn for a connection returns at once
	calls atomic.Int32
	conns chan mpm.Conn // new ones

	mu   sync.Mutex
	ends []error // of the calls of ServeConn
}

// ended are the ends so far.
func (a *answers) ended() []error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.ends)
}

func (a *answers) ServeConn(_ context.Context, c mpm.Conn) {
	a.calls.Add(1)
	err := a.serve(c)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ends = append(a.ends, err)
}

func (a *answers) serve(c mpm.Conn) error {
	p := c.(mpm.Parkable)
	call, ok := p.Kept().(*int)
	if !ok {
		call = new(int)
		p.Keep(call)
		a.conns <- c
	}
	if *call++; a.once && *call == 2 {
		return nil
	}
	buf := make([]byte, 1024)
	for {
		c.SetState(mpm.StateKeepalive)
		if a.idle > 0 {
			_ = c.SetReadDeadline(time.Now().Add(a.idle))
		}
		n, err := c.Read(buf)
		if err != nil {
			return err
		}
		c.SetState(mpm.StateWriting)
		if _, err := fmt.Fprintf(c, "%d%s", *call, strings.ToUpper(string(buf[:n]))); err != nil {
			return err
		}
	}
}

// parkedCrew is a crew whose main goroutine is the test's, unless it runs.
type parkedCrew struct {
	*crew
	t       *testing.T
	handler *answers
	clock   time.Time
	hurries pipe
	over    pipe
	addr    string
}

func newParkedCrew(t *testing.T, threads int, h *answers) *parkedCrew {
	t.Helper()
	h.conns = make(chan mpm.Conn, 1000)
	p := &parkedCrew{t: t, handler: h, clock: time.Now()}
	var lifeline, gate pipe
	pipes := []*pipe{&p.hurries, &p.over, &lifeline, &gate}
	for _, each := range pipes {
		var err error
		if each.r, each.w, err = sys.Pipe(); err != nil {
			t.Fatal(err)
		}
	}
	gate.closeWriter() // open from the start
	o := &mpm.Options{Model: mpm.Worker, ThreadsPerChild: threads}
	board, err := scoreboard.New(0, threads, 0)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	listener := sys.FD(file.Fd())
	if err := listener.SetNonblock(); err != nil {
		t.Fatal(err)
	}
	p.addr = l.Addr().String()
	c := &Child{
		Options: o, board: board, pod: sys.None, lent: true, clock: sys.NewClock(), generation: p.over.r, lifeline: lifeline.r,
		gate: gate.r, hurryPipe: p.hurries.r, listeners: []childListener{{name: "test", fd: listener}},
	}
	if err := c.watch(); err != nil {
		t.Fatal(err)
	}
	m, err := c.model(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	p.crew = m.(*crew)
	t.Cleanup(func() {
		p.finish()
		for _, each := range pipes {
			each.close()
		}
		if c.reserve != nil {
			_ = c.reserve.Close()
		}
		_, _, _ = c.epoll.Close(), p.wakeR.Close(), p.wakeW.Close()
		_, _, _ = file.Close(), l.Close(), board.Close()
	})
	return p
}

// run serves from now on, and parks soon. It ends with the test, or the function
// returned.
func (p *parkedCrew) run() (stop func()) {
	p.parking.after = time.Millisecond
	done := make(chan error, 1)
	go func() { done <- p.serve(0) }()
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		p.over.closeWriter()
		if err := <-done; err != nil {
			p.t.Errorf("serve: %v", err)
		}
	}
	p.t.Cleanup(stop)
	return stop
}

// dial connects n clients, and serves them unless the crew runs by itself.
func (p *parkedCrew) dial(n int, serve bool) []net.Conn {
	p.t.Helper()
	var clients []net.Conn
	for range n {
		client, err := net.Dial("tcp", p.addr)
		if err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() { _ = client.Close() })
		_ = client.SetDeadline(time.Now().Add(20 * time.Second)) // a test that hangs fails
		clients = append(clients, client)
		if !serve {
			continue
		}
		fd, peer, err := p.listeners[0].fd.Accept()
		if err != nil {
			p.t.Fatal(err)
		}
		p.start("test", fd, peer)
	}
	return clients
}

// park lets so much time pass that all of n connections are parked.
func (p *parkedCrew) park(n int) {
	p.t.Helper()
	p.until("all connections are parked", func() bool {
		p.clock = p.clock.Add(2 * p.parking.after)
		p.tend(p.clock)
		return p.parked() == n
	})
}

func (p *parkedCrew) parked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.parking.conns)
}

func (p *parkedCrew) freeThreads() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.free)
}

func (p *parkedCrew) until(what string, ok func() bool) {
	p.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for late := time.After(20 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-late:
			p.t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// arrived waits until there is something for a parked connection, which its client
// has sent or done.
func (p *parkedCrew) arrived() {
	p.t.Helper()
	p.until("something has come", func() bool {
		return readable(p.parking.epoll.FD())
	})
}

func readable(fd sys.FD) bool {
	wake, err := sys.WaitSocket(fd, sys.Readable, time.Now())
	return err == nil && wake == sys.WakeSocket
}

// exchanged sends text and wants the answer of that call of ServeConn.
func exchanged(client net.Conn, call int, text string) error {
	if _, err := io.WriteString(client, text); err != nil {
		return err
	}
	return wantAnswer(client, call, text)
}

func wantAnswer(client net.Conn, call int, text string) error {
	want := fmt.Sprint(call, strings.ToUpper(text))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(client, got); err != nil || string(got) != want {
		return fmt.Errorf("answer %q, %w; want %q", got, err, want)
	}
	return nil
}

// wantEnd wants the client's connection to be at its end.
func (p *parkedCrew) wantEnd(client net.Conn) {
	p.t.Helper()
	if n, err := client.Read(make([]byte, 10)); err != io.EOF {
		p.t.Errorf("read %d, %v; want the end", n, err)
	}
}

// openFiles is how many descriptors this process has.
func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("there is no /proc here: %v", err)
	}
	return len(all)
}
